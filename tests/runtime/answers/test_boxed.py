import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import frontrunner
from frontrunner.runtime.answers import extract_answer
from frontrunner.runtime.answers.extraction.boxed import BOX_SCAN_CHARS, PATTERN_SCAN_CHARS
from frontrunner.runtime.config import Settings

ANSWER_IS = re.compile(r"answer is ([^.\n]*)")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"so \fbox{42}.", "42"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {  7 }", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"a line break before it: \\\boxed{3}", "3"),
        (r"as JSON has it: \\boxed{3}", "3"),
        (r"\boxed{a \\{b}}", r"a \\{b}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{1 + \fbox{5}}", r"1 + \fbox{5}"),
        (r"\boxed{1} then \boxed{2", "1"),
        (r"\boxed{1 + \boxed{2}", "2"),
        (r"} } \boxed{8} } {", "8"),
        (r"\boxed{\text{a 😀 b}}", r"\text{a 😀 b}"),
        (r"\boxed{}", None),
        ("\\boxed{ \n }", None),
        (r"\boxed{", None),
        (r"\boxed", None),
        (r"\unboxed{1}", None),
        (r"so $\boxed7$.", "7"),
        (r"so \boxed -12.5, as", "-12.5"),
        (r"so \boxed\dfrac{3}{4}", r"\dfrac{3}{4}"),
        (r"so \boxed\frac34", r"\frac34"),
        (r"so \boxed n", "n"),
        (r"so $\boxed k$.", "k"),
        (r"so \boxed m.", "m"),
        (r"a \boxed a formula", None),
        (r"so \boxed\sqrt{3}", r"\sqrt{3}"),
        (r"so \boxed\frac{3}{4", None),
        (r"in \boxed notation", None),
        (r"so \framebox{7}", "7"),
        (r"so \framebox[3cm]{7}", "7"),
        (r"so \colorbox{yellow}{7}", "7"),
        (r"so \fcolorbox{red}{white}{7}", "7"),
        (r"\boxed{ \boxed{5} }", "5"),
        ("", None),
        ("no box", None),
    ],
)
def test_the_last_complete_box_holds_the_answer(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


PLACEHOLDERS = [
    "", " ", "answer", "ANSWER", r"\text{your answer}", "final answer", "<answer>", "...", "…",
    r"\ldots", "?", r"\ ", r"\underline{\quad}", r"\phantom{0}", r"\underline{\hspace{1cm}}",
    "[your final answer]", r"\text{...}", "your_answer_here", "答案", r"\_\_\_", "number",
]  # fmt: skip


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_box_that_only_stands_for_an_answer_is_passed_over(placeholder: str) -> None:
    box = rf"\boxed{{{placeholder}}}"
    assert extract_answer(f"I am to end with {box}. Let me think") is None
    assert extract_answer(rf"\boxed{{5}} (it stands in {box} as asked). The answer is 6") == "5"
    assert extract_answer(f"In {box}. The answer is 6", ANSWER_IS) == "6"


@pytest.mark.parametrize(
    "content",
    [
        "x",
        "A",
        r"\emptyset",
        r"\{\}",
        "[]",
        r"\text{no solution}",
        "the answer is 5",
        "answer 5",
    ],
)
def test_a_box_with_anything_else_is_an_answer(content: str) -> None:
    assert extract_answer(rf"\boxed{{4}} so \boxed{{{content}}}") == content


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"$x = \boxed{4}$ or $x = \boxed{-4}$", "4, -4"),
        (r"$\boxed{4}$, $\boxed{6}$", "4, 6"),
        (r"\boxed{4}, \boxed{6}, and \boxed{8}.", "4, 6, 8"),
        (r"\boxed{4}\text{ and }\boxed{6}", "4, 6"),
        (r"\(\boxed{4}\) 或 \(\boxed{6}\)", "4, 6"),
        (r"$x = \boxed{4}$ and $y = \boxed{6}$", "x = 4, y = 6"),
        (r"\boxed{4} and \boxed{4}", "4"),
        (r"\boxed{4}. \boxed{6}", "6"),
        (r"It is $\boxed{4}$, not $\boxed{6}$.", "4"),
        (r"\boxed{4} rather than \boxed{6}", "4"),
        (r"Not \boxed{4} but \boxed{6}", "6"),
        (r"It is not \boxed{4}.", "4"),
        (r"\boxed{4} \boxed{6}", "6"),
        (r"\boxed{4}, no, \boxed{6}", "6"),
        (r"\boxed{4} or rather \boxed{6}", "6"),
        ("\\boxed{4},\n\n\\boxed{6}", "6"),
        (r"\boxed{2}, so \boxed{4} or \boxed{6}", "4, 6"),
    ],
)
def test_boxes_of_one_answer_are_joined(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


def test_without_a_complete_box_the_last_match_of_the_pattern_counts() -> None:
    text = "The answer is 4. No, the answer is 5 . \\boxed{6"
    assert extract_answer(text) is None
    assert extract_answer(text, ANSWER_IS) == "5"
    assert extract_answer(text, re.compile(r"\d+")) == "6"
    assert extract_answer("the answer is .", ANSWER_IS) is None
    assert extract_answer("nothing", ANSWER_IS) is None


def test_a_group_that_took_no_part_leaves_the_whole_match() -> None:
    assert extract_answer("= none", re.compile(r"= (\d+)|none")) == "none"


def test_a_box_wins_over_a_later_match_of_the_pattern() -> None:
    assert extract_answer(r"\boxed{1} The answer is 2", ANSWER_IS) == "1"


def test_only_the_end_of_the_text_is_searched() -> None:
    assert extract_answer(r"\boxed{1}" + " " * BOX_SCAN_CHARS) is None
    assert extract_answer("the answer is 1." + " " * PATTERN_SCAN_CHARS, ANSWER_IS) is None
    assert extract_answer("{" * BOX_SCAN_CHARS + r"\boxed{1}") == "1"


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "{",
        "}",
        "\\",
        "\\{",
        "{}",
        r"\boxed{",
        r"\boxed",
        r"\boxed ",
        r"\boxed{\fbox{",
        "\0",
        r"\boxed\a{",
        r"\boxed\frac{",
        r"\framebox[",
        r"\colorbox{",
        r"\boxed{}",
        r"\boxed{answer}",
    ],
)
def test_a_million_hostile_characters_are_read_in_one_pass(unit: str) -> None:
    # A quadratic reader would take minutes, which the time limit of the test run notices.
    hostile = unit * (1_000_000 // len(unit))
    assert extract_answer(hostile, ANSWER_IS) is None
    assert extract_answer(hostile + r" \boxed{7}") == "7"
    assert extract_answer("answer is " + hostile[:4_000], ANSWER_IS) != ""
    assert extract_answer(r"\boxed{" * 5_000 + "7" + "}" * 5_000) == "7"


# Text with balanced braces, and no backslash at its end that would escape what follows.
BALANCED = st.recursive(
    st.sampled_from(["", "1", "x+y", r"\{", r"\}", r"\\", r"\frac", " ", "é"]).map(
        lambda leaf: leaf + " "
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        inner.map(lambda text: "{" + text + "}"),
    ),
    max_leaves=12,
)


@given(BALANCED, BALANCED, st.sampled_from([r"\boxed", r"\fbox", r"\boxed "]), BALANCED)
def test_the_last_box_is_found_between_any_balanced_texts(
    before: str, content: str, macro: str, after: str
) -> None:
    text = rf"\boxed{{0}} {before}{macro}{{{content}}}{after}"
    assert extract_answer(text) == (content.strip() or "0")
    # An unterminated box after it, or braces that match nothing, change nothing.
    assert extract_answer("}" + text + r"\boxed{" + after) == (content.strip() or "0")


@given(
    st.lists(
        st.sampled_from(["\\", "{", "}", "boxed{", "\\boxed{", "fbox", "1", " ", "\n"]), max_size=30
    ).map("".join)
)
def test_any_text_has_an_answer_with_balanced_braces_or_none(text: str) -> None:
    answer = extract_answer(text)
    assert answer is None or answer == answer.strip() != ""
    if answer is not None:
        assert answer in text
        unescaped = re.sub(r"\\[\\{}]", "", answer)
        assert unescaped.count("{") == unescaped.count("}")


@given(st.text())
def test_any_text_at_all_is_read_without_an_error(text: str) -> None:
    extract_answer(text, ANSWER_IS)


SHIPPED = sorted((Path(frontrunner.__file__).parent / "configs").glob("*.toml"))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So the answer is 2.75.", "2.75"),
        ("The final answer is: **-0.5**", "-0.5"),
        ("**Answer:** 18", "18"),
        ("The answer is $7.25$.", "7.25"),
        (r"The answer is \$18.", "18"),
        ("The answer is (3, 4).", "(3, 4)"),
        ("The answer is therefore 18, because 9 + 9 = 18.", "18"),
        ("The answer to this question would be 18.", "18"),
        ("The answer is Buenos Aires.", "Buenos Aires"),
        ("The answer is:\n$$\n\\frac{3}{4}\n$$", r"\frac{3}{4}"),
        ("The answer is 17. No, the answer is 18.", "18"),
        ("The answer is 18. I check that the answer is correct", "18"),
        (r"The answer is \boxed{18", None),
        ("The answer is not clear", None),
    ],
)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_patterns_of_the_shipped_configurations(
    path: Path, text: str, answer: str | None
) -> None:
    pattern = Settings.from_toml(path).answers.pattern
    if pattern is not None:
        assert extract_answer(text, re.compile(pattern)) == answer
