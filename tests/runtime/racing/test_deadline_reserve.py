from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.engines.protocol import EngineInfo, EngineLoad
from frontrunner.runtime.racing.deadline_reserve import DeadlineReserve

INFO = EngineInfo(
    name="test",
    model="test",
    max_context_tokens=1_000,
    max_branches=64,
    prefill_tokens_per_step=100,
    cache_block_tokens=32,
    seeded=True,
)
LOAD = EngineLoad(step_seconds=0.01)


@pytest.fixture
def reserve() -> DeadlineReserve:
    return DeadlineReserve(return_margin=0.03, fallback_step=0.05)


def test_a_round_is_the_step_under_way_the_suffixes_and_a_step_per_token(
    reserve: DeadlineReserve,
) -> None:
    # 8 branches, each with a suffix of 10 tokens and half a cache block of 32 to take in again.
    steps = 1 + ceil(8 * (10 + 16) / 100) + 5
    assert reserve.round_seconds(8, 10, 5, INFO, LOAD) == pytest.approx(steps * 0.01)


def test_without_a_measured_step_it_takes_the_fallback(reserve: DeadlineReserve) -> None:
    unmeasured = replace(LOAD, step_seconds=None)
    assert reserve.round_seconds(1, 10, 5, INFO, unmeasured) == pytest.approx(7 * 0.05)


@given(st.integers(0, 200), st.integers(0, 50), st.integers(1, 100))
def test_more_branches_longer_suffixes_and_longer_answers_need_no_less(
    branches: int, suffix: int, answer: int
) -> None:
    reserve = DeadlineReserve(0.03, 0.05)
    least = reserve.round_seconds(branches, suffix, answer, INFO, LOAD)
    assert least > 0.0
    assert reserve.round_seconds(branches + 4, suffix, answer, INFO, LOAD) >= least
    assert reserve.round_seconds(branches, suffix + 4, answer, INFO, LOAD) >= least
    assert reserve.round_seconds(branches, suffix, answer + 1, INFO, LOAD) > least


def test_the_reserve_is_a_high_estimate_of_the_round_and_the_way_back(
    reserve: DeadlineReserve,
) -> None:
    assert reserve.seconds(0.2) == pytest.approx(0.2 * 1.5 + 0.03)


@pytest.mark.parametrize("ratio", [0.5, 4.0])
def test_the_first_round_is_believed_at_once(reserve: DeadlineReserve, ratio: float) -> None:
    reserve.learn(0.1, 0.1 * ratio)
    assert reserve.factor == pytest.approx(ratio * 1.2)


def test_later_slow_rounds_raise_it_fast_and_quick_ones_lower_it_slowly(
    reserve: DeadlineReserve,
) -> None:
    reserve.learn(0.1, 0.1)
    low = reserve.factor
    reserve.learn(0.1, 0.4)
    high = reserve.factor
    assert high > 1.5 * low
    reserve.learn(0.1, 0.1)
    assert 0.85 * high < reserve.factor < high
    for _ in range(200):
        reserve.learn(0.1, 0.1)
    assert reserve.factor == pytest.approx(1.2, rel=0.01)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1_000)), max_size=50))
def test_whatever_rounds_took_the_factor_stays_reasonable(
    rounds: list[tuple[float, float]],
) -> None:
    reserve = DeadlineReserve(0.03, 0.05)
    for predicted, actual in rounds:
        reserve.learn(predicted, actual)
        assert 0.29 <= reserve.factor <= 12.0


@given(st.floats(0.1, 8.0))
def test_after_equal_rounds_the_reserve_covers_the_next_one(ratio: float) -> None:
    reserve = DeadlineReserve(0.0, 0.05)
    for _ in range(10):
        reserve.learn(0.1, 0.1 * ratio)
    assert reserve.seconds(0.1) >= 0.1 * ratio


def test_the_way_back_takes_what_was_set_aside_until_it_took_longer(
    reserve: DeadlineReserve,
) -> None:
    reserve.record_return_latency(0.004)
    assert reserve.margin == 0.03
    reserve.record_return_latency(0.04)
    assert reserve.margin == pytest.approx(0.06)
    assert reserve.seconds(0.2) == pytest.approx(0.2 * 1.5 + 0.06)
    reserve.record_return_latency(0.004)
    assert 0.05 < reserve.margin < 0.06
    for _ in range(100):
        reserve.record_return_latency(0.004)
    assert reserve.margin == 0.03


@given(st.lists(st.floats(0, 1_000), max_size=50))
def test_one_long_pause_does_not_take_the_time_of_those_that_follow(pauses: list[float]) -> None:
    reserve = DeadlineReserve(0.03, 0.05)
    for seconds in pauses:
        reserve.record_return_latency(seconds)
        assert 0.03 <= reserve.margin <= 5 * 0.03
        assert reserve.margin >= min(seconds, 5 * 0.03)
