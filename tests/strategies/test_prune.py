"""Speculative rejection, by example and under a driver that does anything a race might."""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.protocol import (
    BranchStatus,
    Cancel,
    Command,
    Decide,
    Force,
    Score,
    StopReason,
)
from frontrunner.strategies.prune import Prune

from .rewarded_race import AnyRewardedRace
from .small_race import SmallRace


def pass_checkpoint(race: SmallRace, tokens: int) -> list[Command]:
    return [c for index in race.running for c in race.progress(index, tokens)]


def test_the_worst_half_is_cut_at_each_checkpoint_and_the_best_finished_wins() -> None:
    race = SmallRace(Prune(8, every=100))
    assert pass_checkpoint(race, 99) == []
    commands = pass_checkpoint(race, 100)
    # In one batch as soon as half are there, the others as they come.
    assert commands == [Score((0, 1, 2, 3)), *(Score((i,)) for i in range(4, 8))]
    for index in range(7):
        assert race.scored(index, index / 10) == []
    assert race.scored(7, 0.7) == [Cancel((0, 1, 2, 3), "low score")]
    pass_checkpoint(race, 200)
    for index in (4, 5, 6, 7):
        race.scored(index, 1 - index / 10)
    assert race.running == [4, 5]
    race.finish(5, "b")
    race.scored(5, 0.8)
    race.finish(4, "a")
    race.scored(4, 0.9)
    assert race.decision == Decide("a", 4, StopReason.EXHAUSTED, 0.9)


def test_nobody_waits_for_a_straggler_which_is_judged_when_it_comes() -> None:
    race = SmallRace(Prune(4, every=100))
    for index in range(3):
        race.progress(index, 100)
    race.scored(0, 0.1)
    race.scored(1, 0.8)
    assert race.scored(2, 0.9) == [Cancel((0,), "low score")]
    assert race.progress(3, 100) == [Score((3,))]
    assert race.scored(3, 0.2) == [Cancel((3,), "low score")]
    assert race.running == [1, 2]


def test_a_straggler_as_good_as_the_others_goes_on() -> None:
    race = SmallRace(Prune(4, every=100))
    for index in range(3):
        race.progress(index, 100)
    for index, score in enumerate([0.1, 0.8, 0.9]):
        race.scored(index, score)
    race.progress(3, 100)
    assert race.scored(3, 0.85) == []


def test_finished_ones_are_ranked_along_and_stay_candidates() -> None:
    race = SmallRace(Prune(4, every=100))
    race.finish(0, "a")
    race.scored(0, 0.95)
    race.finish(1, "b")
    race.scored(1, 0.2)
    pass_checkpoint(race, 100)
    race.scored(2, 0.3)
    # The worst two of four are the finished 0.2 and the running 0.1.
    assert race.scored(3, 0.1) == [Cancel((3,), "low score")]
    race.progress(2, 200)
    # The 0.2 takes no part any more: of two, the worse is cut, which ends the race.
    commands = race.scored(2, 0.5)
    assert commands == [
        Cancel((2,), "low score"),
        Decide("a", 0, StopReason.EXHAUSTED, 0.95),
    ]


def test_some_are_always_kept() -> None:
    race = SmallRace(Prune(4, every=100, fraction=0.9, keep=2))
    pass_checkpoint(race, 100)
    for index, score in enumerate([0.4, 0.3, 0.2, 0.1]):
        race.scored(index, score)
    assert race.running == [0, 1]


def test_a_single_branch_is_never_cut() -> None:
    race = SmallRace(Prune(1, every=10, fraction=0.9))
    for checkpoint in range(1, 5):
        race.progress(0, 10 * checkpoint)
        assert race.scored(0, 0.0) == []
    assert race.running == [0]


def test_a_branch_whose_score_failed_is_not_judged() -> None:
    race = SmallRace(Prune(3, every=100))
    pass_checkpoint(race, 100)
    for index in range(3):
        assert race.scored(index, None) == []
    assert race.running == [0, 1, 2]


def test_a_branch_that_finishes_while_it_is_scored_is_scored_again_to_its_end() -> None:
    race = SmallRace(Prune(2, every=100))
    pass_checkpoint(race, 100)
    assert race.finish(0, "a") == []
    assert race.scored(0, 0.3) == [Score((0,))]
    race.scored(0, 0.6)
    assert race.scored(1, 0.5) == [
        Cancel((1,), "low score"),
        Decide("a", 0, StopReason.EXHAUSTED, 0.6),
    ]


def test_after_the_call_time_nothing_is_scored_on_the_way_or_cut() -> None:
    race = SmallRace(Prune(2, every=100))
    pass_checkpoint(race, 100)
    assert race.call_time() == [Force((0, 1), let_run=True)]
    race.scored(0, 0.2)
    assert race.scored(1, 0.3) == []
    race.forced(0, "a")
    race.forced(1, "b")
    # Each has one vote: the better of the partial scores breaks the tie.
    assert race.decision is not None
    assert race.decision.answer == "b"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("branches", 0),
        ("every", 0),
        ("fraction", 1.0),
        ("fraction", -0.1),
        ("keep", 0),
        ("pick", "x"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(parameter: str, value: object) -> None:
    with pytest.raises(ValueError, match=parameter):
        Prune(**{parameter: value})  # pyright: ignore[reportArgumentType]


class AnyPrune(AnyRewardedRace):
    @initialize(
        branches=st.integers(1, 8),
        every=st.sampled_from([1, 100, 400]),
        fraction=st.sampled_from([0.0, 0.5, 0.9]),
        keep=st.integers(1, 3),
        force_answers=st.booleans(),
    )
    def begin(
        self, branches: int, every: int, fraction: float, keep: int, force_answers: bool
    ) -> None:
        self.start(Prune(branches, every, fraction, keep, force_answers=force_answers))

    def check_commands(self, commands: Sequence[Command]) -> None:
        before = self.alive()
        cut = sum(len(c.branches) for c in commands if isinstance(c, Cancel))
        assert not cut or before - cut >= min(self.strategy.keep, before)

    def alive(self) -> int:
        return sum(
            b.status.active or (b.status is BranchStatus.FINISHED and b.answer is not None)
            for b in self.view.branches.values()
        )


TestAnyPrune = AnyPrune.TestCase
TestAnyPrune.settings = settings(max_examples=examples(150), stateful_step_count=50)
