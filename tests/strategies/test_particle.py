"""Particle filtering, by example and under a driver that does anything a race might."""

from collections.abc import Sequence
from math import log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.particle import (
    ParticleFilter,
    Resampling,
    effective_size,
    logit,
    multinomial,
    softmax,
    systematic,
)
from frontrunner.strategies.protocol import Cancel, Command, Decide, Fork, StopReason

from .rewarded_race import AnyRewardedRace
from .small_race import SmallRace


@st.composite
def weight_lists(draw: st.DrawFn) -> list[float]:
    raw = draw(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12).filter(lambda w: sum(w) > 0))
    return [w / sum(raw) for w in raw]


@settings(max_examples=examples(2_000))
@given(weight_lists(), st.integers(1, 40), st.floats(0.0, 1.0, exclude_max=True))
def test_systematic_draws_are_within_one_of_their_expectation(
    weights: list[float], count: int, offset: float
) -> None:
    drawn = systematic(weights, count, offset)
    assert sum(drawn) == count
    for n, weight in zip(drawn, weights, strict=True):
        assert n >= 0
        assert abs(n - count * weight) < 1.0 + 1e-6


@settings(max_examples=examples(200))
@given(weight_lists(), st.integers(1, 20))
def test_systematic_draws_are_unbiased(weights: list[float], count: int) -> None:
    grid = 400
    totals = [0] * len(weights)
    for step in range(grid):
        for index, n in enumerate(systematic(weights, count, (step + 0.5) / grid)):
            totals[index] += n
    for total, weight in zip(totals, weights, strict=True):
        # Each end of a weight's interval is found to within one point of the grid.
        assert total / grid == pytest.approx(count * weight, abs=2.5 / grid)


def test_multinomial_draws_are_unbiased_and_spread_as_they_should() -> None:
    weights, count, rounds, random = [0.5, 0.3, 0.2, 0.0], 10, 20_000, Random(1)
    draws = [multinomial(weights, count, random) for _ in range(rounds)]
    assert all(sum(drawn) == count for drawn in draws)
    for index, weight in enumerate(weights):
        numbers = [drawn[index] for drawn in draws]
        mean = sum(numbers) / rounds
        variance = sum((n - mean) ** 2 for n in numbers) / rounds
        assert mean == pytest.approx(count * weight, abs=0.06)
        assert variance == pytest.approx(count * weight * (1 - weight), rel=0.06)


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=12))
def test_at_temperature_one_the_weights_are_the_odds(scores: list[float]) -> None:
    weights = softmax([logit(s) for s in scores], [1] * len(scores))
    odds = [s / (1 - s) for s in scores]
    assert weights == pytest.approx([o / sum(odds) for o in odds])
    size = effective_size(weights, [1] * len(scores))
    assert 1.0 - 1e-9 <= size <= len(scores) + 1e-9


def test_one_that_counts_twice_is_two_in_the_effective_size() -> None:
    twice = effective_size(softmax([0.3, 0.1], [2, 1]), [2, 1])
    assert twice == pytest.approx(effective_size(softmax([0.3, 0.3, 0.1], [1] * 3), [1] * 3))


def test_certain_scores_have_a_finite_logit() -> None:
    assert logit(1.0) == pytest.approx(-logit(0.0)) == pytest.approx(log(1e6), rel=1e-5)


def race_of(**parameters: object) -> SmallRace:
    race = SmallRace(ParticleFilter(4, **parameters))  # pyright: ignore[reportArgumentType]
    for index in range(4):
        race.step(index, 10)
    return race


def test_when_few_particles_carry_the_weight_all_are_drawn_anew() -> None:
    race = race_of()
    for index, score in enumerate([0.001, 0.999, 0.001]):
        assert race.scored(index, score) == []
    assert race.scored(3, 0.001) == [Cancel((0, 2, 3), "low score"), Fork(1, 10, 3)]


def test_when_all_carry_about_the_same_they_run_on() -> None:
    race = race_of()
    for index in range(4):
        assert race.scored(index, 0.5 + index / 100) == []
    assert race.running == [0, 1, 2, 3]


def test_as_published_it_draws_at_every_step() -> None:
    race = race_of(ess_fraction=1.0, resampling="multinomial", seed=3)
    for index in range(3):
        race.scored(index, 0.5)
    commands = race.scored(3, 0.5)
    assert commands
    drawn = sum(c.count for c in commands if isinstance(c, Fork))
    cut = sum(len(c.branches) for c in commands if isinstance(c, Cancel))
    assert drawn == cut > 0


def test_equal_seeds_draw_alike() -> None:
    def commands(seed: int) -> list[Command]:
        race = race_of(ess_fraction=1.0, resampling="multinomial", seed=seed)
        return [c for i in range(4) for c in race.scored(i, i / 4)]

    assert commands(5) == commands(5)
    assert any(commands(5) != commands(seed) for seed in range(6, 12))


def test_a_high_temperature_evens_the_weights_out() -> None:
    race = race_of(temperature=100.0)
    for index, score in enumerate([0.001, 0.999, 0.001, 0.001]):
        assert race.scored(index, score) == []


def test_a_finished_particle_is_drawn_along_and_stays_a_candidate() -> None:
    race = SmallRace(ParticleFilter(2, ess_fraction=0.9))
    race.finish(0, "a")
    race.scored(0, 0.001)
    race.step(1, 10)
    assert race.scored(1, 0.999) == [Fork(1, 10, 1)]
    race.fail(1)
    race.fail(2)
    assert race.decision == Decide("a", 0, StopReason.EXHAUSTED, 0.001)


def test_a_finished_particle_with_all_the_weight_ends_the_race() -> None:
    race = SmallRace(ParticleFilter(2, ess_fraction=0.9))
    race.finish(0, "a")
    race.scored(0, 0.999999)
    race.step(1, 10)
    assert race.scored(1, 0.0) == [
        Cancel((1,), "low score"),
        Decide("a", 0, StopReason.EXHAUSTED, 0.999999),
    ]


def test_the_weighted_vote_adds_up_odds() -> None:
    race = SmallRace(ParticleFilter(3, pick="sum"))
    for index, answer in enumerate("abb"):
        race.finish(index, answer)
    for index, score in enumerate([0.8, 0.6, 0.6]):
        race.scored(index, score)
    # 4 against 1.5 + 1.5; as probabilities it would have been the other way round.
    assert race.decision is not None
    assert (race.decision.answer, race.decision.branch) == ("a", 0)
    assert race.decision.confidence == pytest.approx(4 / 7)


def test_when_every_score_fails_the_particles_run_on_and_vote() -> None:
    race = race_of()
    for index in range(4):
        assert race.scored(index, None) == []
    for index, answer in enumerate("abbc"):
        race.finish(index, answer)
        race.scored(index, None)
    assert race.decision is not None
    assert race.decision.answer == "b"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("branches", 0),
        ("temperature", 0.0),
        ("temperature", float("inf")),
        ("ess_fraction", 1.1),
        ("ess_fraction", -0.1),
        ("resampling", "x"),
        ("delimiter", ""),
        ("patience", -1),
        ("max_steps", 0),
        ("max_launches", 3),
        ("pick", "x"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(parameter: str, value: object) -> None:
    with pytest.raises(ValueError, match=parameter):
        ParticleFilter(**{parameter: value})  # pyright: ignore[reportArgumentType]


class AnyParticleFilter(AnyRewardedRace):
    @initialize(
        branches=st.integers(1, 8),
        temperature=st.sampled_from([0.01, 1.0, 10.0]),
        ess_fraction=st.sampled_from([0.0, 0.5, 1.0]),
        resampling=st.sampled_from(["systematic", "multinomial"]),
        patience=st.sampled_from([0, 100]),
        max_launches=st.sampled_from([8, 30]),
        force_answers=st.booleans(),
    )
    def begin(
        self,
        branches: int,
        temperature: float,
        ess_fraction: float,
        resampling: Resampling,
        patience: int,
        max_launches: int,
        force_answers: bool,
    ) -> None:
        strategy = ParticleFilter(
            branches,
            temperature,
            ess_fraction,
            resampling,
            patience=patience,
            max_launches=max_launches,
            force_answers=force_answers,
        )
        self.start(strategy)

    def check_carried_out(self, commands: Sequence[Command]) -> None:
        assert len(self.view.branches) <= self.strategy.max_launches
        if any(isinstance(command, Cancel) for command in commands):
            assert self.view.active or self.view.arrivals, "the last one was cut"


TestAnyParticleFilter = AnyParticleFilter.TestCase
TestAnyParticleFilter.settings = settings(max_examples=examples(150), stateful_step_count=60)
