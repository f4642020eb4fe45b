from math import exp, inf, isfinite, pi, sqrt

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.optimal_stopping import (
    any_threshold,
    expected_excess,
    fair_cap,
    normal_threshold,
    predicted_score,
    wait_per_arrival,
)

THOROUGH = settings(max_examples=examples(10_000))
means = st.floats(-2.0, 2.0)
deviations = st.floats(0.01, 2.0)
scores = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


def excess_by_quadrature(level: float, mean: float, deviation: float, top: float = inf) -> float:
    """E[(min(v, top) - level)+] by the trapezoidal rule over 12 deviations."""
    steps, low = 20_000, mean - 12 * deviation
    width = 24 * deviation / steps
    total = 0.0
    for n in range(steps + 1):
        value = low + n * width
        density = exp(-(((value - mean) / deviation) ** 2) / 2) / (deviation * sqrt(2 * pi))
        total += max(0.0, min(value, top) - level) * density * width
    return total


@settings(max_examples=20)
@given(st.floats(-2.0, 2.0), means, deviations)
def test_the_expected_excess_is_that_of_the_integral(
    level: float, mean: float, deviation: float
) -> None:
    exact = excess_by_quadrature(level, mean, deviation)
    assert expected_excess(level, mean, deviation) == pytest.approx(exact, rel=1e-4, abs=1e-6)


@THOROUGH
@given(st.floats(-5.0, 5.0), st.floats(0.0, 3.0), means, st.floats(0.0, 2.0))
def test_the_expected_excess_falls_with_the_level_and_grows_with_the_deviation(
    level: float, more: float, mean: float, deviation: float
) -> None:
    excess = expected_excess(level, mean, deviation)
    assert excess >= max(0.0, mean - level) - 1e-12
    assert expected_excess(level + more, mean, deviation) <= excess + 1e-12
    assert expected_excess(level, mean, deviation + more) >= excess - 1e-12


def test_without_any_deviation_the_excess_is_the_difference() -> None:
    assert expected_excess(0.25, 0.75, 0.0) == 0.5
    assert expected_excess(0.75, 0.25, 0.0) == 0.0


@settings(max_examples=examples(2_000))
@given(st.floats(1e-9, 3.0), means, deviations)
def test_at_the_fair_cap_one_more_score_is_worth_its_cost(
    cost: float, mean: float, deviation: float
) -> None:
    cap = fair_cap(cost, mean, deviation)
    assert expected_excess(cap, mean, deviation) == pytest.approx(cost, rel=1e-6, abs=1e-12)
    assert fair_cap(cost * 1.1, mean, deviation) <= cap


def test_what_costs_nothing_is_always_worth_it_and_what_cannot_come_never() -> None:
    assert fair_cap(0.0, 0.5, 0.2) == inf
    assert fair_cap(inf, 0.5, 0.2) == -inf


@settings(max_examples=20)
@given(scores, st.floats(0.001, 0.3))
def test_at_the_threshold_a_score_clipped_at_one_is_worth_its_cost(
    seen: list[float], cost: float
) -> None:
    threshold = normal_threshold(seen, cost)
    assume(threshold < 1.0)
    exact = excess_by_quadrature(threshold, *predicted_score(seen), top=1.0)
    assert exact == pytest.approx(cost, rel=1e-3, abs=1e-6)


@settings(max_examples=examples(2_000))
@given(scores, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_thresholds_fall_as_waiting_gets_dearer(
    seen: list[float], cost: float, more: float
) -> None:
    assert normal_threshold(seen, cost + more) <= normal_threshold(seen, cost)
    assert any_threshold(len(seen), cost + more) <= any_threshold(len(seen), cost)
    assert any_threshold(len(seen) + 1, cost) <= any_threshold(len(seen), cost)
    assert normal_threshold(seen, cost) <= 1.0
    assert normal_threshold(seen, inf) == any_threshold(len(seen), inf) == -inf


@given(scores)
def test_the_predicted_score_lies_between_the_prior_and_the_scores(seen: list[float]) -> None:
    mean, deviation = predicted_score(seen)
    assert min([*seen, 0.5]) - 1e-12 <= mean <= max([*seen, 0.5]) + 1e-12
    assert isfinite(deviation)
    assert deviation > 0.0


def test_the_bound_for_any_distribution_holds_for_the_worst_one() -> None:
    """Nine of ten scores are 0, one is 1 and comes anywhere: the next is the record of ten with a
    probability of a tenth, and worth all that is left."""
    seen = 9
    gain = 1.0 / (seen + 1)
    assert any_threshold(seen, gain) <= 1e-12
    assert any_threshold(seen, 0.99 * gain) > 1e-12


LENGTHS = LengthModel.from_quantiles(1_000, 3_000)


def test_waiting_is_priced_at_its_cheapest_moment() -> None:
    wait = wait_per_arrival([800], None, LENGTHS)
    grid = [n / LENGTHS.arrival_probability(800, n) for n in range(10, 20_000, 10)]
    assert wait == pytest.approx(min(grid), rel=0.05)
    assert wait >= min(grid) * 0.99


@settings(max_examples=examples(300))
@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=16), st.floats(1.0, 1e5))
def test_more_branches_or_more_time_make_one_arrival_no_dearer(
    running: list[int], reachable: float
) -> None:
    wait = wait_per_arrival(running, reachable, LENGTHS)
    assert wait > 0.0
    assert wait_per_arrival([*running, 900], reachable, LENGTHS) <= wait
    assert wait_per_arrival(running * 2, reachable, LENGTHS) == pytest.approx(wait / 2)


def test_nothing_is_to_be_expected_of_no_branch_no_time_or_one_beyond_all_lengths() -> None:
    assert wait_per_arrival([], None, LENGTHS) == inf
    assert wait_per_arrival([500], 0.5, LENGTHS) == inf
    assert wait_per_arrival([10**9], None, LENGTHS) == inf
    assert wait_per_arrival([10**9, 800], None, LENGTHS) < inf


def test_without_knowledge_of_lengths_waiting_has_no_price() -> None:
    assert wait_per_arrival([500], None, None) == 0.0
