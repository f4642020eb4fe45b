"""Slips spoil a result and what follows from it, and nothing else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.demo import templates
from frontrunner.runtime.demo.problems import LEVELS, Problem, draw_problem
from frontrunner.runtime.demo.slips import apply, check_steps, draw_slips, undo
from frontrunner.runtime.demo.solutions import Style, write_cut_solution, write_solution

SEEDS = st.integers(0, 2**32)
drawn = st.builds(
    lambda seed, level: draw_problem(random.Random(seed), level, "train"),
    SEEDS,
    st.sampled_from(LEVELS),
)


@given(drawn)
def test_right_steps_are_done_and_undone(problem: Problem) -> None:
    for step in problem.steps:
        assert apply(step, step.before) == step
        assert undo(step, step.after) == step
    assert check_steps(problem) == list(reversed(problem.steps))


@given(drawn, SEEDS)
def test_without_slips_the_working_is_the_problem(problem: Problem, seed: int) -> None:
    assert draw_slips(problem, random.Random(seed), 0.0) == problem
    assert draw_slips(problem, random.Random(seed), 1.0, steps=0) == problem


@given(drawn, SEEDS)
def test_all_but_the_slipped_results_follow(problem: Problem, seed: int) -> None:
    worked = draw_slips(problem, random.Random(seed), 0.3)
    assert (worked.question, worked.start, worked.split) == (
        problem.question, problem.start, problem.split,
    )  # fmt: skip
    value = worked.start
    for step, right in zip(worked.steps, problem.steps, strict=True):
        assert step.before == value
        assert (step.operation, step.amount) == (right.operation, right.amount)
        off = abs(step.after - apply(step, value).after)
        assert off in {0, 1, 2, 10, 20, 100}
        value = step.after
    assert worked.answer == value
    assert all(step.before > 0 and step.after > 0 for step in check_steps(worked))


@given(drawn, SEEDS)
def test_only_the_first_steps_slip_where_asked(problem: Problem, seed: int) -> None:
    worked = draw_slips(problem, random.Random(seed), 1.0, steps=1)
    for step in worked.steps[1:]:
        assert apply(step, step.before) == step


@given(drawn, SEEDS)
def test_a_check_says_whether_it_came_back_to_the_start(problem: Problem, seed: int) -> None:
    worked = draw_slips(problem, random.Random(seed), 0.3)
    closing = write_solution(worked, Style("terse", True), random.Random(seed)).split("\n")[-2]
    back = check_steps(worked)[-1].before == problem.start
    assert closing in (templates.CHECK_FITS if back else templates.CHECK_FAILS)


@given(drawn, SEEDS)
def test_a_forced_guess_follows_from_the_text_before_it(problem: Problem, seed: int) -> None:
    _, guess = write_cut_solution(problem, Style("terse", False), random.Random(seed), slips=1.0)
    assert guess.endswith("}.")
    assert int(guess[:-2]) > 0


def test_slips_come_at_their_rate() -> None:
    rng = random.Random(7)
    clean = 0
    for _ in range(2000):
        problem = draw_problem(rng, 7, "train")
        clean += draw_slips(problem, rng, 0.06).steps == problem.steps
    assert clean / 2000 == pytest.approx(0.94**7, abs=0.03)
