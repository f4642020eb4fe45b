"""What the demo's reward model is taught, and how its choices are counted."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.demo.labels import line_labels
from frontrunner.runtime.demo.problems import LEVELS, draw_problem
from frontrunner.runtime.demo.selection import Scored, auc, calibration_error, select
from frontrunner.runtime.demo.solutions import Style, draw_style, write_solution

SEEDS = st.integers(0, 2**32)


@given(SEEDS)
def test_every_line_of_a_right_solution_is_right(seed: int) -> None:
    rng = random.Random(seed)
    problem = draw_problem(rng, rng.choice(LEVELS), "train")
    assert all(line_labels(problem, write_solution(problem, draw_style(rng), rng)))


@given(SEEDS, st.data())
def test_a_line_with_a_wrong_number_spoils_all_from_there_on(
    seed: int, data: st.DataObject
) -> None:
    rng = random.Random(seed)
    problem = draw_problem(rng, rng.choice(LEVELS), "train")
    lines = write_solution(problem, draw_style(rng), rng).split("\n")
    last_step = next(i for i, line in enumerate(lines) if line.startswith(f"{problem.level}. "))
    broken = data.draw(st.sampled_from([*range(last_step + 1), len(lines) - 1]))
    # A number that no story reaches, in the place of the last one of the line.
    digits = [i for i, character in enumerate(lines[broken]) if character.isdigit()]
    if not digits:
        return
    lines[broken] = lines[broken][: digits[-1]] + "98765" + lines[broken][digits[-1] + 1 :]
    labels = line_labels(problem, "\n".join(lines))
    assert labels == [i < broken for i in range(len(lines))]


@given(SEEDS)
def test_a_slip_in_the_check_changes_no_answer(seed: int) -> None:
    rng = random.Random(seed)
    problem = draw_problem(rng, rng.choice(LEVELS), "train")
    lines = write_solution(problem, Style("plain", True), rng).split("\n")
    lines[-3] = "1. Undoing it gives 98765."
    assert all(line_labels(problem, "\n".join(lines)))


def test_a_step_that_is_not_there_or_repeats_another_is_wrong() -> None:
    problem = draw_problem(random.Random(1), 3, "train")
    first = problem.steps[0]
    assert line_labels(problem, f"1. {first.before} ... {first.after}") == [True]
    assert line_labels(problem, f"1. {first.after}") == [False]
    assert line_labels(problem, "9. so on") == [False]
    assert line_labels(problem, f"2. {first.before} ... {first.after}") == [False]
    assert line_labels(problem, f"\\boxed{{{problem.answer}}}") == [True]
    assert line_labels(problem, f"\\boxed{{{problem.start}}}") == [False]


def scored(*rows: tuple[str | None, float, bool]) -> list[Scored]:
    return [Scored(*row) for row in rows]


def test_choices_are_counted_by_race() -> None:
    one = scored(("1", 0.9, True), ("2", 0.3, False), ("2", 0.4, False), (None, 0.99, False))
    two = scored(("5", 0.2, True), ("6", 0.6, False), ("6", 0.1, False), ("7", 0.1, False))
    found = select([one, two])
    assert (found.problems, found.branches) == (2, 4)
    assert found.pass_at_1 == 2 / 8
    assert found.majority == 0.0
    assert found.best_of_n == 0.5  # a branch without an answer is not chosen
    assert found.weighted_vote == 0.5
    assert found.any_right == 1.0


def brute_force(scores: list[float], right: list[bool]) -> float:
    pairs = [
        (a > b) + (a == b) / 2
        for a, hit in zip(scores, right, strict=True)
        for b, other in zip(scores, right, strict=True)
        if hit and not other
    ]
    return sum(pairs) / len(pairs) if pairs else 0.5


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.booleans()), min_size=1))
def test_the_area_under_the_curve_is_that_of_all_pairs(rows: list[tuple[float, bool]]) -> None:
    scores, right = [score for score, _ in rows], [hit for _, hit in rows]
    assert auc(scores, right) == pytest.approx(brute_force(scores, right))


def test_calibration_compares_scores_with_shares() -> None:
    perfect = scored(("a", 1.0, True), ("b", 0.0, False))
    assert calibration_error(perfect) == 0.0
    assert calibration_error(scored(("a", 1.0, False), ("b", 0.0, True))) == 1.0
    half = scored(("a", 0.75, True), ("b", 0.75, False))
    assert calibration_error(half) == pytest.approx(0.25)
