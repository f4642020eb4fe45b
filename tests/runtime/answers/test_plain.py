import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.plain import last_choice, last_number

HOSTILE = ["1,", "1,111", "-", "1/", ".", "answer is ", "(A", "Answer: option ", "\n(", "\\boxed{",
           " ", "**", "\\text{(", "−1", "9", "A ", "\n    "]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so 12 and then 15.", "15"),
        ("it costs $1,234.50 in all", "1234.50"),
        ("x = -3", "-3"),
        ("x = \u22123", "-3"),
        ("the difference 8-3", "3"),
        ("8 - 3 is what it is", "3"),
        ("(5)-2", "2"),
        ("3/4 of it", "3/4"),
        ("1,2,3", "3"),
        ("12,34", "34"),
        ("1234,567", "567"),
        ("in 2024.", "2024"),
        ("version v2", "2"),
        (r"\boxed{\frac{1}{2}} of 7", r"\frac{1}{2}"),
        ("none", None),
        ("", None),
    ],
)
def test_the_last_number_is_the_answer(text: str, answer: str | None) -> None:
    assert last_number(text) == answer


@given(st.integers(-(10**12), 10**12), st.text(alphabet="ab .,()-\n", max_size=20))
def test_a_number_is_found_with_and_without_commas(number: int, after: str) -> None:
    assert last_number(f"so it is {number}{' ' + after}") == str(number)
    assert last_number(f"so it is {number:,}{' ' + after}") == str(number)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{C}", "C"),
        (r"so \boxed{\text{(C) 12 apples}}", "C"),
        (r"so \boxed{c}", "C"),
        (r"so \boxed{12}", None),
        (r"so \boxed{Cat}", None),
        ("The answer is (B).", "B"),
        ("The answer is B", "B"),
        ("Answer: D", "D"),
        ("**Answer:** **D**", "D"),
        ("the correct answer is option E", "E"),
        ("I choose option F", "F"),
        ("The answer is A.", "A"),
        ("The answer is A", "A"),
        ("The answer is I.", "I"),
        ("The answer is A matter of taste. The answer is B.", "B"),
        ("The answer is a matter of taste", None),
        ("The answer is I think", None),
        ("The answer is Bob", None),
        ("The answer is B's", None),
        ("The answer is (A). No: the answer is (B).", "B"),
        ("A. 1\nB. 2\nso:\n(B)", "B"),
        ("it must be\n**C**\n", "C"),
        ("The answer is (K)", None),
        ("Answer A is wrong, as is answer B; the answer is [C]", "C"),
        ("A B C D", None),
        ("", None),
    ],
)
def test_the_choice_that_is_named_is_the_answer(text: str, answer: str | None) -> None:
    assert last_choice(text) == answer


@given(st.sampled_from("ABCDEFGHIJ"))
def test_every_letter_may_be_chosen_in_every_form(letter: str) -> None:
    for text in (
        rf"\boxed{{{letter}}}",
        f"The answer is ({letter}).",
        f"Answer: {letter}",
        f"so:\n({letter})",
        f"{letter}.",
    ):
        assert last_choice(text) == letter


@given(st.text(max_size=60))
def test_any_text_has_a_letter_or_none(text: str) -> None:
    answer = last_choice(text)
    assert answer is None or answer in "ABCDEFGHIJ"


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_million_hostile_characters_take_no_time_to_speak_of(unit: str) -> None:
    # A quadratic reader would take minutes, which the time limit of the test run notices.
    hostile = unit * (1_000_000 // len(unit))
    last_number(hostile)
    last_choice(hostile)
    assert last_choice(hostile + "\nThe answer is (B)") == "B"
    assert last_number(hostile + " so 7") == "7"
