"""Sentences that come again with other numbers: the numbers are copied, whatever they are."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

pytest.importorskip("numba")

import numpy as np

from frontrunner.runtime.drafting.batch_rows import Races
from frontrunner.runtime.drafting.index import ContinuationIndex
from frontrunner.runtime.drafting.sentence_templates import BEGINS, find_numbers
from frontrunner.runtime.drafting.vocabulary import Vocabulary

TEXTS = [
    *"0123456789", *(f" {d}" for d in range(10)), " a", " books", ".", " +", " =", " so", " are",
    " there", "\n", "12", " 12", "?",
]  # fmt: skip
VOCABULARY = Vocabulary.of_texts(TEXTS, len(TEXTS) + 3)
IDS = {text: token for token, text in enumerate(TEXTS)}
K = 10


def ids(text: str) -> list[int]:
    """One token a digit, as the demo's tokenizer does it."""
    found: list[int] = []
    while text:
        longest = next(
            piece
            for piece in sorted(TEXTS, key=len, reverse=True)
            if text.startswith(piece) and "12" not in piece
        )
        found.append(IDS[longest])
        text = text[len(longest) :]
    return found


def text_of(tokens: list[int]) -> str:
    return "".join(TEXTS[token] for token in tokens)


class Drafting:
    """An index and its races, one row at a time."""

    def __init__(self, **given: Any) -> None:
        self.index = ContinuationIndex(VOCABULARY, mib=1, rows=2, K=K, **given)
        self.races = Races(8, 2)
        self.now = 0

    def after(self, prompt: str, text: str) -> str:
        """What is drafted after ``text``, all of which is learned."""
        tokens = np.array(ids(prompt) + ids(text), dtype=np.int32)
        begins = len(ids(prompt))
        self.now += 1
        race = self.races.find(0, tokens, begins, self.now)
        if race is None:
            race = self.races.open(0, tokens, begins, VOCABULARY.digits, self.now)
            self.index.learn_prompt(tokens, race)
        (draft,) = self.index.step(
            tokens[None], np.array([len(tokens)]), np.array([len(tokens) - begins]), [race],
            np.array([K]), 0.0,
        )  # fmt: skip
        return text_of(draft)


def test_the_vocabulary_knows_numbers_with_and_without_a_space() -> None:
    digits = VOCABULARY.digits
    assert digits[IDS["7"]] == digits[IDS[" 7"]] - BEGINS >= 0
    assert digits[IDS["12"]] not in (digits[IDS["1"]], digits[IDS["2"]])
    assert all(digits[IDS[word]] == -1 for word in (" a", ".", "\n", "?"))
    assert VOCABULARY.spaced[IDS["7"]] == IDS[" 7"]
    assert VOCABULARY.plain[IDS[" 7"]] == IDS["7"]
    assert VOCABULARY.plain[IDS["."]] == IDS["."]


def test_numbers_are_found_with_the_last_first() -> None:
    tokens = np.array(ids(" so 12 + 7 = 190 345."), dtype=np.int32)
    spans = np.zeros((8, 2), dtype=np.int64)
    count = find_numbers(tokens, 0, len(tokens), VOCABULARY.digits, spans)
    found = [text_of(tokens[a:b].tolist()) for a, b in spans[:count]]
    assert found == [" 345", " 190", " 7", " 12"]


#: Of digits that the sentences learned do not have: no context of tokens matches them.
UNMET = st.text("136789", min_size=3, max_size=3).map(int)


@given(UNMET, UNMET)
@settings(max_examples=examples(100), deadline=None)
def test_the_last_number_is_copied_into_a_sentence_known_with_another(one: int, two: int) -> None:
    drafting = Drafting()
    drafting.after("?", " = 4 books. there are 4 books.\n = 25 books. there are 25 books.\n" * 8)
    text = f" = {one} books. there are {one} books.\n = {two} books."
    assert drafting.after("?", text).startswith(f" there are {two}")


@pytest.mark.parametrize(("one", "two"), [(53, 8), (271, 694)])
def test_the_last_but_one_is_copied_where_that_is_the_way(one: int, two: int) -> None:
    drafting = Drafting()
    rng = np.random.default_rng(0)
    for a, b in rng.integers(1, 1000, (30, 2)).tolist():
        drafting.after("?", f" a {a} + {b} books so {a} + {b} =")
    assert drafting.after("?", f" a {one} + {two} books so").startswith(f" {one}")


def test_a_prompt_without_numbers_has_none_to_point_at() -> None:
    drafting = Drafting()
    for number in (31, 5, 77, 290):
        drafting.after(f" {number} books.\n?", f" are {number} there.\n")
    assert set(drafting.after(" a?", " are")) <= set("".join(TEXTS))


def test_the_next_number_of_the_prompt_is_copied() -> None:
    drafting = Drafting()
    for numbers in ((31, 5, 77), (4, 290, 16), (65, 8, 123)):
        prompt = "".join(f" {n} books.\n" for n in numbers) + "?"
        drafting.after(prompt, "".join(f" are {n} there.\n" for n in numbers))
    prompt = " 58 books.\n 607 books.\n 92 books.\n?"
    assert drafting.after(prompt, " are 58 there.\n are").startswith(" 607")


def test_templates_of_other_races_are_left_out_where_races_share_nothing() -> None:
    drafting = Drafting(shared=False)
    drafting.after("?", " = 4 books. there are 4 books.\n = 25 books. there are 25 books.\n" * 4)
    assert "738" not in drafting.after(".?", " = 738 books. there are")


def test_a_model_without_a_tokenizer_has_no_numbers() -> None:
    assert (Vocabulary.of_texts([], 30).digits == -1).all()
