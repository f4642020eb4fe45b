import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.cost_model.acceptance import (
    NOTHING_ACCEPTED,
    Acceptance,
    AcceptanceCount,
    expected_tokens,
    fit_acceptance,
)

probabilities = st.floats(0, 1)


@given(probabilities, st.integers(0, 8))
@settings(max_examples=examples(10_000))
def test_a_step_yields_between_one_token_and_all(probability: float, k: int) -> None:
    expected = expected_tokens(probability, k)
    assert 1.0 <= expected <= k + 1
    assert expected <= expected_tokens(probability, k + 1)
    if probability < 0.99:
        closed = (1 - probability ** (k + 1)) / (1 - probability)  # Leviathan et al.
        assert expected == pytest.approx(closed)


@given(probabilities, st.lists(st.integers(1, 6), min_size=1, max_size=4))
@settings(max_examples=examples(500))
def test_expected_counts_give_the_probability_back(probability: float, ks: list[int]) -> None:
    steps = 1_000_000
    counts = [
        AcceptanceCount(k, 0, steps, round(steps * expected_tokens(probability, k))) for k in ks
    ]
    assert fit_acceptance(counts).at(0) == pytest.approx(probability, abs=2e-3)


def test_draws_give_the_probability_back_by_position() -> None:
    rng = random.Random(3)
    truth = Acceptance((0, 100), (0.8, 0.4))
    counts: list[AcceptanceCount] = []
    for position in (0, 64, 128, 192):
        tokens = 0
        for _ in range(4_000):
            accepted = 0
            while accepted < 3 and rng.random() < truth.at(position):
                accepted += 1
            tokens += 1 + accepted
        counts.append(AcceptanceCount(3, position, 4_000, tokens))
    found = fit_acceptance(counts, (0, 100))
    assert found.at(50) == pytest.approx(0.8, abs=0.02)
    assert found.at(150) == pytest.approx(0.4, abs=0.02)


def test_bins_without_counts_take_their_neighbours() -> None:
    some = AcceptanceCount(2, 300, 100, 175)  # 1 + 0.5 + 0.25
    found = fit_acceptance([some], (0, 256, 1024))
    assert found.probabilities == pytest.approx((0.5, 0.5, 0.5), abs=1e-6)


def test_without_drafts_nothing_is_accepted() -> None:
    assert fit_acceptance([AcceptanceCount(0, 0, 10, 10)]).at(0) == 0.0
    assert NOTHING_ACCEPTED.tokens_per_step(5) == 1.0


def test_what_is_accepted_may_depend_on_the_batch() -> None:
    acceptance = Acceptance((0,), (0.5,), batches=(4, 8), shares=(1.0, 0.5))
    alone = expected_tokens(0.5, 3) - 1.0
    accepted = {b: acceptance.tokens_per_step(3, 0, b) - 1.0 for b in (1, 4, 6, 8, 64)}
    assert accepted == pytest.approx(
        {1: alone, 4: alone, 6: 0.75 * alone, 8: 0.5 * alone, 64: 0.5 * alone}
    )


@given(
    probability=st.floats(0.0, 1.0),
    k=st.integers(0, 8),
    batch=st.integers(1, 100),
    shares=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=5),
)
def test_no_step_yields_less_than_its_own_token_or_more_than_its_draft(
    probability: float, k: int, batch: int, shares: list[float]
) -> None:
    batches = tuple(4 * n + 1 for n in range(len(shares)))
    acceptance = Acceptance((0,), (probability,), batches, tuple(shares))
    assert 1.0 <= acceptance.tokens_per_step(k, 0, batch) <= k + 1.0
