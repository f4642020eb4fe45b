"""The demo's problems are right, graded, varied, and split without overlap."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers import extract_answer
from frontrunner.runtime.demo import templates
from frontrunner.runtime.demo.problems import (
    HARD_LEVELS,
    LEVELS,
    OPERATIONS,
    Problem,
    Split,
    draw_problem,
    hard_problems,
    split_of,
)
from frontrunner.runtime.demo.solutions import STYLES, Style, write_cut_solution, write_solution

SPLITS: tuple[Split, ...] = ("train", "select", "test")
drawn = st.builds(
    lambda seed, level, split: draw_problem(random.Random(seed), level, split),
    st.integers(0, 2**32),
    st.sampled_from(LEVELS),
    st.sampled_from(SPLITS),
)


@given(drawn)
def test_every_step_follows_from_the_one_before(problem: Problem) -> None:
    value = problem.start
    for step in problem.steps:
        assert step.before == value
        value = {
            "add": value + step.amount,
            "subtract": value - step.amount,
            "multiply": value * step.amount,
            "divide": value // step.amount,
            "pack_in": value + step.groups * step.size,
            "pack_out": value - step.groups * step.size,
        }[step.operation]
        assert step.after == value > 0
        if step.operation == "divide":
            assert step.before % step.amount == 0
    assert problem.answer == value


@given(drawn)
def test_a_problem_belongs_to_the_split_of_its_arithmetic(problem: Problem) -> None:
    assert split_of(problem.start, problem.steps) == problem.split


@given(drawn)
def test_the_question_states_every_quantity_of_its_steps(problem: Problem) -> None:
    lines = problem.question.split("\n")
    assert len(lines) == problem.level + 2
    assert str(problem.start) in lines[0]
    for number, (line, step) in enumerate(zip(lines[1:-1], problem.steps, strict=True), start=1):
        assert line.startswith(f"{number}. ")
        stated = set(map(int, re.findall(r"\d+", line.partition(". ")[2])))
        needed = {step.groups, step.size} if step.groups else {step.amount}
        assert needed <= stated
    assert not re.search(r"[{}]", problem.question)


@given(drawn, st.sampled_from(STYLES), st.integers(0, 2**32))
def test_every_equation_of_a_solution_holds(problem: Problem, style: Style, seed: int) -> None:
    text = write_solution(problem, style, random.Random(seed))
    assert extract_answer(text) == str(problem.answer)
    equations = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", text)
    assert len(equations) >= problem.level
    for left, symbol, right, result in equations:
        a, b, c = int(left), int(right), int(result)
        assert {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[symbol] == c


@given(drawn, st.sampled_from(STYLES), st.integers(0, 2**32))
def test_a_cut_solution_is_a_beginning_of_one(problem: Problem, style: Style, seed: int) -> None:
    cut, guess = write_cut_solution(problem, style, random.Random(seed))
    assert write_solution(problem, style, random.Random(seed)).startswith(cut)
    assert extract_answer(cut + templates.FORCING_SUFFIX + guess) == str(problem.answer)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_is_worded_in_at_least_a_dozen_ways(operation: str) -> None:
    assert len(set(templates.QUESTION[operation])) >= 12


def test_styles_differ_in_length_as_branches_do() -> None:
    problem = hard_problems("select", 1)[0]
    lengths = [len(write_solution(problem, style, random.Random(0))) for style in STYLES]
    assert max(lengths) > 2.5 * min(lengths)


def test_the_same_seed_gives_the_same_hard_problems() -> None:
    assert hard_problems("test", 9) == hard_problems("test", 9)
    assert hard_problems("test", 9) != hard_problems("test", 9, seed=1)
    assert {p.level for p in hard_problems("test", 9)} == set(HARD_LEVELS)
