"""The calculator: exact, bounded, and safe with whatever a model writes."""

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner import Runtime
from frontrunner.agents import ToolError, calculator
from frontrunner.runtime.agents.calculator import calculate

from .calling import SETTINGS, CallingEngine, call, says


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(3 + 4) * 12 / 5", "16.8"),
        ("0.1 + 0.2", "0.3"),
        ("2/3 + 1", "5/3 (about 1.66666666667)"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("2^10 =", "1024"),
        ("3 × 4 ÷ 6 − 1", "1"),
        ("sqrt(2.25)", "1.5"),
        ("2 ** (1/2)", "about 1.41421356237"),
        ("-sqrt(2) + 1", "about -0.414213562373"),
        ("round(10/3, 2)", "3.33"),
        ("floor(7/2) + ceil(7/2)", "7"),
        ("gcd(12, 18) + lcm(4, 6)", "18"),
        ("factorial(20)", "2432902008176640000"),
        ("comb(52, 5)", "2598960"),
        ("max(1, 5/2) - min(3, 4)", "-0.5"),
        ("1e3", "1000"),
        ("0.12345678901234567890123 * 2", "0.24691357802469135780246"),
        ("1.5e2 +\n1", "151"),
        ("round(5/2)", "2"),
        ("-" * 200 + "1", "1"),
        ("2 ** -2", "0.25"),
        ("12345678901234567890 * 98765432109876543210", "1219326311370217952237463801111263526900"),
        ("-0.05", "-0.05"),
        ("12 + 3\n1. * 4\n2. - 5", "55"),
        ("1. 12 + 3\n2. / 10\n\n3) ** 2 =", "2.25"),
        ("1: 0.1 =\n2: + 2 * 0.3", "0.7"),
        ("7\n1. - 2 + _ * 2", "19"),
        ("(1.5\n+ 2)", "3.5"),
        ("1. + 4", "5"),
        ("3 *\n2. + 4", "10"),
    ],
)
def test_it_is_exact(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("1 / 0", "division by zero"),
        ("5 % (2 - 2)", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("9 ** 9 ** 9", "more than 1000 digits"),
        ("(10 ** 900) * (10 ** 900)", "more than 1000 digits"),
        ("1e999999999", "more than 1000 digits"),
        ("factorial(100000)", "from 0 to 400"),
        ("comb(1.5, 2)", "a whole number"),
        ("1,000 + 1", "without commas"),
        ("x + 1", "x has no value"),
        ("__import__('os').system('true')", "only numbers"),
        ("open('x')", "there is no open"),
        ("[1] * 10", "only numbers"),
        ("'a' * 10", "only numbers"),
        ("True + 1", "only numbers"),
        ("2 if 1 else 3", "only numbers"),
        ("2if 1else 3", "only numbers"),
        ("'\\d'", "only numbers"),
        ("(lambda: 1)()", "only numbers"),
        ("sqrt(-1)", "negative"),
        ("2 ** 0.3", "exponents"),
        ("1 << 100", "only"),
        ("sqrt(1, 2)", "another number of arguments"),
        ("max()", "another number of arguments"),
        ("1 +", "no arithmetic"),
        ("", "no arithmetic"),
        ("\x00", "no arithmetic"),
        ("1+" * 300 + "1", "in steps"),
        ("1. 2 + 3\n2. * 4\n3. 5", "step 3 goes on from the one before"),
        ("12\n1. + 3) * (2", "no arithmetic"),
        ("12\n1. / 0", "division by zero"),
        ("_ + 1", "_ has no value"),
    ],
)
def test_what_it_cannot_do_it_says(expression: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        calculate(expression)


@settings(max_examples=examples(2000))
@given(st.text("0123456789+-*/%^(). ,sqrtabgcdlmfx=eE_×÷[]'\"", max_size=60))
def test_whatever_it_is_told_it_answers_or_says_what_is_wrong(expression: str) -> None:
    with suppress(ToolError):
        assert calculate(expression)


@settings(max_examples=examples(500))
@given(st.lists(st.integers(-999, 999), min_size=2, max_size=6))
def test_it_agrees_with_fractions(numbers: list[int]) -> None:
    text, value = str(numbers[0]), Fraction(numbers[0])
    for place, number in enumerate(numbers[1:]):
        sign = "+-*"[place % 3]
        text = f"({text}) {sign} ({number})"
        value = {"+": value + number, "-": value - number, "*": value * number}[sign]
    assert calculate(text) == str(value)
    assert Fraction(calculate(f"({text}) / 8")) == value / 8


@settings(max_examples=examples(500))
@given(
    st.integers(0, 999),
    st.lists(st.sampled_from(["+ 12", "- 3 * 7", "* 9", "/ 4", "- 2 + 0.5", "** 2"]), min_size=1),
)
def test_numbered_steps_are_what_brackets_say(start: int, steps: list[str]) -> None:
    steps = steps[:12]
    lines = [str(start), *(f"{number}. {step}" for number, step in enumerate(steps, start=1))]
    nested = str(start)
    for step in steps:
        nested = f"({nested}) {step}"
    assert told("\n".join(lines)) == told(nested)


def told(expression: str) -> str:
    """What a branch hears."""
    try:
        return calculate(expression)
    except ToolError as error:
        return str(error)


async def test_branches_use_it() -> None:
    engine = CallingEngine([[call("calculator", {"expression": "6 * 7"}), says("42")]])
    async with Runtime(engine, SETTINGS, tools=[calculator]) as runtime:
        result = await runtime.solve("What is 6 times 7?", branches=2, deadline=9.0)
    assert result.answer == "42"
    assert "[calculator] 42" in result.text
