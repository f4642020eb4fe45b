from fractions import Fraction
from itertools import product
from math import comb, isfinite

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frontrunner.strategies.stopping import clinched, flip_risk, majority_probability

THOROUGH = settings(max_examples=10_000)


@st.composite
def votes(draw: st.DrawFn, most: int = 24) -> tuple[int, int]:
    """Votes of a leader and a runner-up."""
    leader = draw(st.integers(0, most))
    return leader, draw(st.integers(0, leader))


def urn_flip_risk(leader: int, runner_up: int, expected: int) -> Fraction:
    """The same probability exactly, by drawing from Pólya's urn one vote at a time.

    The urn starts with one ball of each answer more than it has votes; each vote draws a ball and
    puts it back with another of its kind. ``ways[k]`` counts the draws with k for the runner-up.
    """
    ways = [1]
    for drawn in range(expected):
        longer = [0] * (drawn + 2)
        for k, count in enumerate(ways):
            longer[k + 1] += count * (runner_up + 1 + k)
            longer[k] += count * (leader + 1 + drawn - k)
        ways = longer
    flips = sum(n for k, n in enumerate(ways) if runner_up + k > leader + expected - k)
    return Fraction(flips, sum(ways))


def beta_above_half(leader: int, runner_up: int) -> Fraction:
    """P(theta > 1/2) for theta ~ Beta(leader + 1, runner_up + 1), by integrating the polynomial."""

    def integral(low: Fraction) -> Fraction:
        return sum(
            (
                Fraction((-1) ** j * comb(runner_up, j), leader + j + 1)
                * (1 - low ** (leader + j + 1))
                for j in range(runner_up + 1)
            ),
            Fraction(0),
        )

    return integral(Fraction(1, 2)) / integral(Fraction(0))


@pytest.mark.parametrize("leader", range(21))
def test_flip_risk_is_that_of_polyas_urn(leader: int) -> None:
    for runner_up in range(leader + 1):
        for expected in range(21):
            exact = float(urn_flip_risk(leader, runner_up, expected))
            risk = flip_risk(leader, runner_up, expected)
            assert risk == pytest.approx(exact, rel=1e-9, abs=1e-15)


@THOROUGH
@given(votes(200), st.integers(0, 250))
@example((0, 0), 0)
@example((0, 0), 1)
def test_flip_risk_is_a_probability_and_zero_exactly_when_the_lead_covers_all_expected_votes(
    counts: tuple[int, int], expected: int
) -> None:
    leader, runner_up = counts
    risk = flip_risk(leader, runner_up, expected)
    assert 0.0 <= risk <= 1.0
    assert (risk == 0.0) == (leader - runner_up >= expected)


@THOROUGH
@given(votes(100), st.integers(0, 100))
def test_flip_risk_falls_with_every_further_vote_of_the_lead(
    counts: tuple[int, int], expected: int
) -> None:
    leader, runner_up = counts
    risk = flip_risk(leader, runner_up, expected)
    further_ahead = flip_risk(leader + 1, runner_up, expected)
    assert further_ahead <= risk + 1e-12
    if risk > 1e-9:
        assert further_ahead < risk
    if runner_up > 0:
        assert flip_risk(leader, runner_up - 1, expected) <= risk + 1e-12


@settings(max_examples=100)
@given(votes(30))
def test_flip_risk_tends_to_the_probability_that_the_model_prefers_the_runner_up(
    counts: tuple[int, int],
) -> None:
    limit = 1.0 - majority_probability(*counts)
    # Drawing level is no flip, so an even horizon comes from below, with an error of order 1/m.
    errors = [abs(flip_risk(*counts, expected) - limit) for expected in (200, 2_000)]
    assert errors[1] < 0.005
    assert errors[1] <= errors[0] + 1e-9


def test_flip_risk_stays_finite_for_very_many_votes() -> None:
    risk = flip_risk(50_000, 49_900, 5_000)
    assert isfinite(risk)
    assert 0.0 < risk < 0.5


@pytest.mark.parametrize("leader", range(25))
def test_majority_probability_is_the_mass_of_the_beta_posterior_above_one_half(
    leader: int,
) -> None:
    for runner_up in range(leader + 1):
        exact = float(beta_above_half(leader, runner_up))
        assert majority_probability(leader, runner_up) == pytest.approx(exact, rel=1e-12)


def test_majority_probability_is_at_least_one_half_and_complements_the_runner_up() -> None:
    for leader, runner_up in product(range(0, 300, 7), repeat=2):
        probability = majority_probability(leader, runner_up)
        assert 0.0 <= probability <= 1.0
        assert (probability >= 0.5) == (leader >= runner_up)
        assert probability + majority_probability(runner_up, leader) == pytest.approx(1.0)
        assert majority_probability(leader + 1, runner_up) >= probability


@pytest.mark.parametrize("expected", range(6))
@pytest.mark.parametrize("leader", range(6))
def test_a_clinched_lead_is_neither_overtaken_nor_drawn_level_by_any_future_votes(
    leader: int, expected: int
) -> None:
    """Exhaustive: each future vote goes to any answer known or to a new one."""
    for runner_up in range(leader + 1):
        safe = leader > 0
        for third in range(runner_up + 1):
            for future in product(range(4), repeat=expected):
                before = (leader, runner_up, third, 0)
                ahead, *others = (votes + future.count(i) for i, votes in enumerate(before))
                safe = safe and ahead > max(others)
        assert clinched(leader, runner_up, expected) == safe


def test_a_clinched_lead_has_no_flip_risk() -> None:
    for leader, runner_up, expected in product(range(20), repeat=3):
        if runner_up <= leader and clinched(leader, runner_up, expected):
            assert flip_risk(leader, runner_up, expected) == 0.0
