from collections.abc import Sequence
from math import exp, inf, log
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.strategies.lengths import LengthModel, expected_arrivals

many = settings(max_examples=examples(500))
models = st.builds(
    LengthModel,
    mu=st.floats(log(5), log(50_000)),
    sigma=st.floats(0.05, 2.0),
    weight=st.floats(1.0, 256.0),
)
lengths = st.integers(0, 200_000)
reaches = st.floats(0.0, 1e6)


@many
@given(models, lengths, reaches)
def test_an_arrival_probability_is_a_probability(
    model: LengthModel, tokens: int, reachable: float
) -> None:
    assert 0.0 <= model.arrival_probability(tokens, reachable) <= 1.0


@many
@given(models, lengths, reaches, reaches)
def test_more_time_makes_an_arrival_no_less_probable(
    model: LengthModel, tokens: int, one: float, other: float
) -> None:
    sooner, later = sorted((one, other))
    assert model.arrival_probability(tokens, sooner) <= model.arrival_probability(tokens, later)


@pytest.mark.parametrize("tokens", [0, 50, 100, 300])
def test_arrival_probabilities_are_those_of_drawn_lengths(tokens: int) -> None:
    model, random = LengthModel.from_quantiles(100, 400), Random(0)
    drawn = [random.lognormvariate(model.mu, model.sigma) for _ in range(50_000)]
    drawn = [length for length in drawn if length > tokens]
    for reachable in (10.0, 100.0, 1_000.0):
        share = sum(n <= tokens + reachable for n in drawn) / len(drawn)
        assert model.arrival_probability(tokens, reachable) == pytest.approx(share, abs=0.02)
    assert model.expected_length(tokens) == pytest.approx(sum(drawn) / len(drawn), rel=0.05)


def test_a_branch_longer_than_anything_known_is_not_expected_any_moment() -> None:
    model = LengthModel.from_quantiles(100, 110)
    assert model.arrival_probability(100_000, 1e6) == 0.5
    assert model.expected_length(100_000) > 100_000


@many
@given(models, lengths)
def test_the_expected_length_is_at_least_the_length_so_far(model: LengthModel, tokens: int) -> None:
    assert tokens <= model.expected_length(tokens) < inf


@many
@given(st.floats(1.0, 50_000.0), st.floats(1.01, 50.0))
def test_a_model_from_quantiles_has_these_quantiles(middle: float, ratio: float) -> None:
    model = LengthModel.from_quantiles(middle, middle * ratio)
    assert model.median == pytest.approx(middle)
    assert model.arrival_probability(0, middle) == pytest.approx(0.5)
    assert model.arrival_probability(0, middle * ratio) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("middle", "p95"), [(0, 10), (-1, 10), (10, 10), (10, 5), (float("nan"), 10)]
)
def test_quantiles_that_cannot_be_are_refused(middle: float, p95: float) -> None:
    with pytest.raises(ValueError, match="0 < median < p95"):
        LengthModel.from_quantiles(middle, p95)


def test_a_fit_finds_the_distribution_that_lengths_were_drawn_from() -> None:
    truth, random = LengthModel.from_quantiles(200, 800), Random(1)
    model = LengthModel.fit(
        [round(random.lognormvariate(truth.mu, truth.sigma)) for _ in range(4_000)]
    )
    assert model.median == pytest.approx(truth.median, rel=0.05)
    assert model.sigma == pytest.approx(truth.sigma, rel=0.05)


@pytest.mark.parametrize("finished", [[7], [0], [7, 7, 7], [1, 2]])
def test_a_fit_of_few_or_equal_lengths_still_spreads(finished: Sequence[int]) -> None:
    model = LengthModel.fit(finished)
    assert model.sigma >= 0.05
    assert 0.0 < model.arrival_probability(0, 10.0) < 1.0


finished_lengths = st.lists(st.integers(1, 20_000), max_size=12)


@many
@given(models, finished_lengths, st.lists(st.floats(1.0, 20.0), min_size=1, max_size=8))
def test_branches_cut_beyond_the_median_raise_it_where_ignoring_them_would_not(
    model: LengthModel, finished: list[int], factors: list[float]
) -> None:
    ignoring = model.updated(finished)
    cuts = [int(ignoring.median * factor) + 1 for factor in factors]
    assert model.updated(finished, cuts).median > ignoring.median


@many
@given(models, finished_lengths, finished_lengths)
def test_an_update_keeps_the_model_sound(
    model: LengthModel, finished: list[int], censored: list[int]
) -> None:
    after = model.updated(finished, censored)
    assert after.sigma >= 0.05
    seen = len(finished) + len(censored)
    assert after.weight == pytest.approx(min(256.0, model.weight + seen))
    if not finished and not censored:
        assert after == model


@given(models)
def test_branches_cut_at_their_start_say_nothing(model: LengthModel) -> None:
    assert model.updated((), [0] * 5).median == pytest.approx(model.median)


@given(models, st.integers(1, 20_000))
def test_many_equal_lengths_draw_the_model_towards_them(model: LengthModel, length: int) -> None:
    after = model.updated([length] * 10)
    before = abs(model.mu - log(length))
    assert abs(after.mu - log(length)) <= before + 1e-9


@pytest.mark.parametrize("prior", [50, 200, 800])
def test_cutting_the_long_branches_of_every_race_does_not_shrink_the_model(prior: int) -> None:
    """Eight of sixteen branches finish, the rest is cut then, as an early stop would."""
    truth, random = LengthModel.from_quantiles(200, 800), Random(2)
    learning = ignoring = LengthModel.from_quantiles(prior, 4 * prior)
    for _ in range(300):
        drawn = sorted(round(random.lognormvariate(truth.mu, truth.sigma)) for _ in range(16))
        finished, cut = drawn[:8], [drawn[7]] * 8
        learning = learning.updated(finished, cut)
        ignoring = ignoring.updated(finished)
    assert learning.median == pytest.approx(truth.median, rel=0.2)
    assert ignoring.median < 0.7 * truth.median


running_lengths = st.lists(lengths, max_size=20)


@many
@given(running_lengths, st.none() | reaches, st.none() | models)
def test_no_more_arrivals_are_expected_than_branches_run(
    running: list[int], reachable: float | None, model: LengthModel | None
) -> None:
    expected = expected_arrivals(running, reachable, model)
    assert 0 <= expected <= len(running)
    if model is None or reachable is None:
        assert expected == len(running)
    elif reachable == 0:
        assert expected == 0


@many
@given(running_lengths, reaches, models)
def test_expected_arrivals_are_the_sum_of_probabilities_rounded_up_but_for_a_tenth(
    running: list[int], reachable: float, model: LengthModel
) -> None:
    total = sum(model.arrival_probability(tokens, reachable) for tokens in running)
    expected = expected_arrivals(running, reachable, model)
    if reachable > 0:
        assert total - 0.1 <= expected + 1e-9
        assert expected < total + 0.9 + 1e-9


def test_when_time_is_up_nothing_is_expected_any_more() -> None:
    model = LengthModel.from_quantiles(100, 400)
    assert expected_arrivals([100, 200], 0.0, model) == 0
    assert expected_arrivals([100, 200], -1.0, model) == 0
    assert expected_arrivals([100, 200], inf, model) == 2


def test_a_median_is_the_middle_of_what_it_was_fitted_to() -> None:
    data = [50, 100, 200]
    assert LengthModel.fit(data).median == pytest.approx(median(data))
    assert LengthModel(log(100), 1.0).median == pytest.approx(exp(log(100)))
