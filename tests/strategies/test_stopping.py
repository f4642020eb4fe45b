from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import comb, exp, factorial, isfinite, log, prod

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.strategies.stopping import (
    clinched,
    flip_risk,
    leader_probability,
    log_pair_evidence,
    majority_probability,
    sprt_log_ratio,
)

THOROUGH = settings(max_examples=examples(10_000))


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


@settings(max_examples=examples(100))
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


# ── weighted votes ────────────────────────────────────────────────────────────────────────────


def beta_above_half_by_quadrature(leader: float, runner_up: float, cells: int = 20_000) -> float:
    """The same mass for real votes, by the midpoint rule."""
    points = [(i + 0.5) / cells for i in range(cells)]
    density = [t**leader * (1 - t) ** runner_up for t in points]
    return sum(density[cells // 2 :]) / sum(density)


@pytest.mark.parametrize(
    ("leader", "runner_up"),
    [(0.5, 0.25), (3.3, 1.7), (12.25, 9.5), (40.1, 3.9), (2.5, 2.5), (7, 0.5)],
)
def test_majority_probability_of_weights_is_the_mass_of_their_posterior(
    leader: float, runner_up: float
) -> None:
    expected = beta_above_half_by_quadrature(leader, runner_up)
    assert majority_probability(leader, runner_up) == pytest.approx(expected, abs=1e-6)
    assert majority_probability(runner_up, leader) == pytest.approx(1 - expected, abs=1e-6)


@settings(max_examples=examples(1_000))
@given(votes(60), st.integers(0, 60))
def test_weights_next_to_whole_numbers_give_nearly_what_these_give(
    counts: tuple[int, int], expected: int
) -> None:
    leader, runner_up = counts
    near = leader + 1e-9, runner_up + 2e-10
    assert majority_probability(*near) == pytest.approx(majority_probability(*counts), abs=1e-8)
    if (leader - runner_up + expected) % 2:  # else a draw lies on the edge of a flip
        risk = flip_risk(leader, runner_up, expected)
        assert flip_risk(*near, expected) == pytest.approx(risk, abs=1e-7)


weights = st.floats(0.0, 60.0)


@settings(max_examples=examples(1_000))
@given(weights, weights, st.integers(0, 60), st.floats(0.0, 3.0))
def test_flip_risk_of_weights_is_a_probability_that_falls_with_the_lead(
    one: float, other: float, expected: int, more: float
) -> None:
    runner_up, leader = sorted((one, other))
    risk = flip_risk(leader, runner_up, expected)
    assert 0.0 <= risk <= 1.0
    assert flip_risk(leader + more, runner_up, expected) <= risk + 1e-9
    assert majority_probability(leader, runner_up) >= 0.5
    assert (
        majority_probability(leader + more, runner_up)
        >= majority_probability(leader, runner_up) - 1e-12
    )


# ── the leader against all ────────────────────────────────────────────────────────────────────


def dirichlet_leader(counts: Sequence[int]) -> Fraction:
    """P(theta_1 is the largest) exactly, for whole counts.

    Of independent Gamma variables; with F(x; v + 1) = 1 - e^-x sum_{i <= v} x^i / i! the product
    over the others is multiplied out, and each term integrates to a factorial.
    """
    leader, others = counts[0], counts[1:]
    total = Fraction(0)
    for chosen in product((False, True), repeat=len(others)):
        tails = [v for v, taken in zip(others, chosen, strict=True) if taken]
        for powers in product(*(range(v + 1) for v in tails)):
            power = leader + sum(powers)
            term = Fraction(factorial(power), factorial(leader) * (1 + len(tails)) ** (power + 1))
            total += (-1) ** len(tails) * term / prod(factorial(i) for i in powers)
    return total


@pytest.mark.parametrize(
    "counts",
    [(0, 0, 0), (1, 1, 1), (3, 1, 1), (3, 3, 1), (5, 2, 1, 1), (9, 4, 0, 0), (4, 3, 2, 1, 1),
     (12, 7, 3, 2, 1), (30, 3, 3, 3), (2, 2, 2, 2, 2)],
)  # fmt: skip
def test_the_leader_probability_is_that_of_the_dirichlet_posterior(counts: tuple[int, ...]) -> None:
    exact = float(dirichlet_leader(counts))
    assert leader_probability(counts) == pytest.approx(exact, abs=1e-12)


def test_with_up_to_two_answers_it_is_the_probability_of_a_majority() -> None:
    for leader in range(12):
        assert leader_probability([leader]) == majority_probability(leader, 0)
        for runner_up in range(leader + 1):
            expected = majority_probability(leader, runner_up)
            assert leader_probability([leader, runner_up]) == expected
            # The integral itself, with a third that cannot win.
            assert float(dirichlet_leader((leader, runner_up))) == pytest.approx(expected)


def test_answers_beyond_the_top_do_not_count() -> None:
    assert leader_probability([5, 4, 3, 2, 1, 1, 1]) == leader_probability([5, 4, 3, 2, 1])
    assert leader_probability([5, 1, 4, 3], top=2) == majority_probability(5, 4)


rivals = st.lists(st.floats(0.0, 20.0), max_size=4)


@settings(max_examples=examples(1_000))
@given(st.floats(0.0, 40.0), rivals, st.floats(0.0, 3.0))
def test_the_leader_probability_is_one_that_grows_with_the_lead(
    leader: float, others: list[float], more: float
) -> None:
    probability = leader_probability([leader, *others])
    assert 0.0 <= probability <= 1.0
    assert leader_probability([leader + more, *others]) >= probability - 1e-9
    pairs = [majority_probability(leader, other) for other in others or [0.0]]
    assert probability <= min(pairs, default=1.0) + 1e-9
    assert probability >= 1.0 - sum(1.0 - p for p in pairs) - 1e-9


# ── tests of hypotheses ───────────────────────────────────────────────────────────────────────


def test_consols_defaults_are_a_lead_of_three() -> None:
    bound = log((1 - (1 - 0.05 - 0.000024)) / 0.05)
    for runner_up in range(500):
        for lead in range(6):
            ratio = sprt_log_ratio(runner_up + lead, runner_up, 0.5001)
            assert (ratio >= bound) == (lead >= 3)


def mixture_wealth(wins: int, losses: int) -> Fraction:
    """The integral of (1 + x)^wins (1 - x)^losses over x in [0, 1], multiplied out."""
    total = Fraction(0)
    for i in range(wins + 1):
        for j in range(losses + 1):
            total += Fraction((-1) ** j * comb(wins, i) * comb(losses, j), i + j + 1)
    return total


@pytest.mark.parametrize("wins", range(16))
def test_pair_evidence_is_the_mean_wealth_of_all_constant_stakes(wins: int) -> None:
    for losses in range(16):
        exact = float(mixture_wealth(wins, losses))
        assert exp(log_pair_evidence(wins, losses)) == pytest.approx(exact, rel=1e-9)


def test_pair_evidence_is_a_martingale_between_answers_that_are_equally_frequent() -> None:
    for wins, losses in product(range(40), repeat=2):
        now = exp(log_pair_evidence(wins, losses))
        won = exp(log_pair_evidence(wins + 1, losses))
        lost = exp(log_pair_evidence(wins, losses + 1))
        assert (won + lost) / 2 == pytest.approx(now, rel=1e-9)
        assert lost < now < won
