"""The search: pure, over estimates that are made up."""

from collections.abc import Callable
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.planning.estimating import Candidate, Estimate
from frontrunner.runtime.planning.planner import (
    TOLERANCE,
    Choice,
    Evaluate,
    Space,
    Speculation,
    best_of,
    better,
    exhaustive,
    greedy,
    next_speculations,
)
from frontrunner.runtime.planning.schedule import KSchedule
from frontrunner.runtime.simulation.cells import StrategySpec

NONE = Speculation("none", KSchedule())
DRAFTS = [Speculation("draft_model", KSchedule.constant(k)) for k in (1, 3, 5)]
NGRAM = Speculation("ngram", KSchedule.constant(3))
STOPS = (StrategySpec("majority"), StrategySpec("majority", (("max_flip_risk", 0.05),)))
SPACE = Space((1, 2, 4, 8, 16), (NONE, *DRAFTS, NGRAM), STOPS)


def estimate(candidate: Candidate, accuracy: float, p50: float = 1.0) -> Estimate:
    return Estimate(candidate, 10.0, accuracy, 0.01, p50, p50, 100.0, 1.0, (accuracy,))


def hill(candidate: Candidate) -> Estimate:
    """Best at 8 branches with 3 draft tokens, falling off smoothly."""
    b, k = candidate.branches.bit_length(), candidate.schedule.most
    risk = 0.02 * ("max_flip_risk" in dict(candidate.strategy.parameters))
    own = 0.05 * (candidate.method == "ngram")
    return estimate(candidate, 0.8 - 0.05 * abs(b - 4) - 0.02 * abs(k - 3) - own + risk)


@pytest.mark.parametrize("search", [exhaustive, greedy])
def test_both_searches_find_the_top_of_a_hill(search: Callable[[Space, Evaluate], Choice]) -> None:
    choice = search(SPACE, hill)
    best = choice.best.candidate
    assert (best.branches, best.method, best.schedule.most) == (8, "draft_model", 3)
    assert best.strategy == STOPS[1]
    assert choice.best in choice.seen


def test_the_climb_looks_at_less() -> None:
    assert len(greedy(SPACE, hill).seen) < len(exhaustive(SPACE, hill).seen)


accuracies = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0.1, 10)),
    min_size=len(SPACE.branches) * len(SPACE.speculations) * len(STOPS),
    max_size=len(SPACE.branches) * len(SPACE.speculations) * len(STOPS),
)


@given(accuracies)
@settings(max_examples=examples(300))
def test_nothing_that_was_looked_at_is_clearly_better(values: list[tuple[float, float]]) -> None:
    candidates = [
        SPACE.candidate(b, s, stop)
        for stop in range(len(STOPS))
        for b in SPACE.branches
        for s in SPACE.speculations
    ]
    known = {c: estimate(c, *v) for c, v in zip(candidates, values, strict=True)}
    everything = exhaustive(SPACE, known.__getitem__)
    first = [e for e in everything.seen if e.candidate.strategy == STOPS[0]]
    assert everything.best.accuracy >= max(e.accuracy for e in first) - 2 * TOLERANCE
    climbed = greedy(SPACE, known.__getitem__)
    start = known[SPACE.candidate(1, NONE)]
    assert climbed.best.accuracy >= start.accuracy - 20 * TOLERANCE
    assert climbed.best.accuracy <= max(e.accuracy for e in known.values()) + 1e-12


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 10)), min_size=1, max_size=5))
def test_the_preferred_one_is_as_accurate_as_any(values: list[tuple[float, float]]) -> None:
    given_ = [
        estimate(SPACE.candidate(b, NONE), *v) for b, v in zip(SPACE.branches, values, strict=False)
    ]
    best = best_of(given_)
    top = max(e.accuracy for e in given_)
    near = [e for e in given_ if e.accuracy >= top - TOLERANCE]
    assert best in near
    assert best.p50 <= min((e.p50 for e in near), default=inf) / 0.95 + 1e-12


def test_of_equals_the_one_with_fewer_branches_is_taken() -> None:
    few, many = (estimate(SPACE.candidate(b, NONE), 0.5) for b in (2, 16))
    assert best_of([many, few]) is few
    assert better(few, many)
    assert not better(many, few)


def test_speculation_is_extended_within_its_method() -> None:
    assert next_speculations(SPACE, NONE) == [DRAFTS[0], NGRAM]
    assert next_speculations(SPACE, DRAFTS[0]) == [DRAFTS[1]]
    assert next_speculations(SPACE, DRAFTS[2]) == []
    assert next_speculations(SPACE, NGRAM) == []


@given(
    st.lists(st.tuples(st.integers(2, 60), st.integers(0, 5)), max_size=4, unique_by=lambda e: e[0])
)
def test_ranges_say_what_the_schedule_does(entries: list[tuple[int, int]]) -> None:
    schedule = KSchedule(((1, 3), *sorted(entries)))
    ranges = schedule.ranges(64)
    assert ranges[0][0] == 1
    assert ranges[-1][1] == 64
    assert all(after[0] == before[1] + 1 for before, after in pairwise(ranges))
    for batch in range(1, 65):
        (k,) = [k for low, high, k in ranges if low <= batch <= high]
        assert schedule(batch) == k
