from statistics import fmean, quantiles

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.strategies.group_confidence import GroupConfidence, percentile

tokens = st.lists(st.floats(0.0, 20.0), max_size=60)


@settings(max_examples=examples(2_000))
@given(tokens, st.integers(1, 12), st.lists(st.integers(0, 60), max_size=6))
def test_it_is_that_of_all_groups_however_the_tokens_come(
    confidences: list[float], window: int, pauses: list[int]
) -> None:
    group = GroupConfidence(window)
    for end in [*sorted(pauses), len(confidences)]:
        group.take(confidences[: min(end, len(confidences))])
    means = [fmean(confidences[i : i + window]) for i in range(len(confidences) - window + 1)]
    if means:
        assert group.lowest == pytest.approx(min(means), abs=1e-9)
        assert group.score == pytest.approx(min(means), abs=1e-9)
    else:
        assert group.lowest is None
        expected = fmean(confidences) if confidences else None
        assert group.score == (pytest.approx(expected, abs=1e-9) if confidences else None)


@pytest.mark.parametrize("strange", [float("inf"), float("nan"), 1e300])
def test_a_token_that_an_engine_masked_does_not_spoil_the_rest(strange: float) -> None:
    group = GroupConfidence(2)
    group.take([5.0, strange, 5.0, 5.0, 3.0])
    assert group.lowest == pytest.approx(4.0)


@given(st.lists(st.floats(-100.0, 100.0), min_size=2, max_size=40), st.integers(1, 99))
def test_a_percentile_interpolates(values: list[float], rank: int) -> None:
    expected = quantiles(values, n=100, method="inclusive")[rank - 1]
    assert percentile(values, rank) == pytest.approx(expected, abs=1e-9)


def test_the_outermost_percentiles_are_the_extremes() -> None:
    assert percentile([3.0, 1.0, 2.0], 0) == 1.0
    assert percentile([3.0, 1.0, 2.0], 100) == 3.0
    assert percentile([4.0], 37) == 4.0
