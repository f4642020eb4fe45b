import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.extraction.statements import first_clause, stated


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" 18.", "18"),
        (" 2.75. More follows", "2.75"),
        (": 18", "18"),
        (" 18 hens, all told.", "18 hens"),
        (" 18, altogether, as was asked.", "18"),
        (" 18, since 9 + 9 = 18.", "18"),
        (" 18 because it is", "18"),
        (" 0.25, i.e. 1/4.", "0.25"),
        (" 18, and the proof is complete.", "18"),
        (" Ada Lovelace, who wrote it", "Ada Lovelace"),
        (" 18 as required", "18"),
        (" 18 (see above)", "18"),
        (" 18 — as before", "18"),
        (" therefore 18", "18"),
        (", therefore, 18", "18"),
        (" approximately 0.333...", "0.333..."),
        (" **18**.", "18"),
        (" `18`", "18"),
        (" “New Delhi”.", "New Delhi"),
        (" $18$.", "18"),
        (" $18.", "18"),
        (r" \\$18.", "18"),
        (r" \\(x = 2\\).", "x = 2"),
        ("\n\\[\nx = 2\n\\]\n", "x = 2"),
        (" (1. 5, 2). Then", "(1. 5, 2)"),
        (" St. John's. It is", "St. John's"),
        (" Mary B. Smith.", "Mary B. Smith"),
        (" A. B. Smith.", "A. B. Smith"),
        (" B. The others fail", "B"),
        (" 5 p.m.", "5 p.m."),
        ("答案。然后", "答案"),
        (" correct.", None),
        (" not 18.", None),
        (" that it depends", None),
        (r" \\boxed{", None),
        ("", None),
        (" .", None),
    ],
)
def test_a_sentence_states_its_answer(text: str, answer: str | None) -> None:
    assert stated(text.replace("\\\\", "\\")) == answer


def test_a_clause_ends_where_its_sentence_does() -> None:
    assert first_clause(" 6*7 = 42. More") == "6*7 = 42"
    assert first_clause("\n\n42\nmore") == "42"


WORDS = ["18", " ", ".", ",", "$", "$$", "**", "(", ")", "\\(", "\\)", "\n", "since", "therefore",
         "A", "St", "not", "_", '"', "“", "”", "`", ":", "\\$", "...", "and this", "—"]  # fmt: skip


@given(st.text(max_size=40) | st.lists(st.sampled_from(WORDS), max_size=16).map("".join))
def test_what_is_stated_states_itself(text: str) -> None:
    answer = stated(text)
    assert answer is None or stated(answer) == answer == answer.strip() != ""
