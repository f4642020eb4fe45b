"""Beam search and DVTS, by example and under a driver that does anything a race might."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.beam import Beam, Best, Dvts
from frontrunner.strategies.protocol import (
    BranchStatus,
    Cancel,
    Command,
    Decide,
    Force,
    Fork,
    Launch,
    Needs,
    Score,
    StopReason,
)
from frontrunner.strategies.step_search import Candidate

from .rewarded_race import AnyRewardedRace
from .small_race import SmallRace


def step_all(race: SmallRace, tokens: int) -> None:
    for index in race.running:
        assert race.step(index, tokens) == [Score((index,))]


def test_after_a_step_the_best_go_on_as_forks_from_its_end() -> None:
    race = SmallRace(Beam(4, width=2, delimiter="\n"))
    assert race.first == [Launch(4)]
    assert race.strategy.needs == Needs(delimiter="\n", rewards=True, continues=True)  # pyright: ignore[reportAttributeAccessIssue]
    for index in range(4):
        race.step(index, 10 + index)
        race.progress(index, 20)  # it goes on into the next step meanwhile
    for index, score in enumerate([0.1, 0.9, 0.2]):
        assert race.scored(index, score) == []
    assert race.scored(3, 0.8) == [
        Cancel((0, 2), "low score"),
        Fork(1, 11, 1),
        Fork(3, 13, 1),
    ]
    assert race.running == [1, 3, 4, 5]
    assert [race.view.branches[i].parent for i in (4, 5)] == [1, 3]
    # The winners keep what they wrote meanwhile.
    assert race.view.branches[1].tokens == 20


def test_the_next_round_waits_for_the_forks_and_the_best_finished_beam_wins() -> None:
    race = SmallRace(Beam(2, width=2))
    step_all(race, 10)
    race.scored(0, 0.3)
    race.scored(1, 0.6)
    assert race.running == [1, 2]
    race.step(1, 30)
    assert race.scored(1, 0.5) == []
    race.step(2, 25)
    assert race.scored(2, 0.7) == [Cancel((1,), "low score"), Fork(2, 25, 1)]
    race.finish(3, "b")
    race.finish(2, "a")
    race.scored(3, 0.9)
    race.scored(2, 0.8)
    assert race.decision == Decide("b", 3, StopReason.EXHAUSTED, 0.9)


def test_a_finished_beam_holds_its_place_and_with_all_places_taken_it_is_over() -> None:
    race = SmallRace(Beam(4, width=2))
    race.finish(0, "a")
    race.scored(0, 0.9)
    for index in (1, 2, 3):
        race.step(index, 10)
    race.scored(1, 0.5)
    race.scored(2, 0.6)
    assert race.scored(3, 0.7) == [Cancel((1, 2), "low score"), Fork(3, 10, 1)]
    race.finish(4, "b")
    race.scored(4, 0.8)
    race.step(3, 20)
    assert race.scored(3, 0.1) == [
        Cancel((3,), "low score"),
        Decide("a", 0, StopReason.EXHAUSTED, 0.9),
    ]


def test_a_beam_that_lags_does_not_hold_up_the_round_and_is_judged_when_it_comes() -> None:
    race = SmallRace(Beam(4, width=2, patience=50))
    for index in (0, 1, 2):
        race.step(index, 10)
        race.scored(index, index / 10)
    race.progress(2, 60)
    race.step(2, 60)
    assert race.running == [0, 1, 2, 3]
    commands = race.step(2, 61)
    # It keeps its place: of four there is one for a fork.
    assert commands[0] == Cancel((0,), "low score")
    assert commands[-1] == Fork(2, 10, 1)
    assert race.status(3) is BranchStatus.RUNNING


@pytest.mark.parametrize("score", [0.59, 0.6])
def test_a_beam_that_comes_late_goes_on_only_with_a_score_that_was_good_enough(
    score: float,
) -> None:
    race = SmallRace(Beam(3, width=3, patience=5))
    for index in (0, 1):
        race.step(index, 10)
        race.scored(index, 0.5 + index / 10)
    race.step(1, 16)  # closes the first round
    assert race.running == [1, 2, 3]
    assert race.step(2, 14) == [Score((2,))]
    if score < 0.6:
        assert race.scored(2, score) == [Cancel((2,), "low score")]
    else:
        assert race.scored(2, score) == []


def test_when_every_score_fails_the_beams_run_on_and_vote() -> None:
    race = SmallRace(Beam(4, width=2))
    for tokens in (10, 20):
        step_all(race, tokens)
        for index in range(4):
            assert race.scored(index, None) == []
    for index, answer in enumerate("abbc"):
        race.finish(index, answer)
        race.scored(index, None)
    assert race.decision is not None
    assert race.decision.answer == "b"


def test_it_copes_with_fewer_branches_than_it_asks_for() -> None:
    race = SmallRace(Beam(8, width=4), room=3)
    step_all(race, 10)
    for index, score in enumerate([0.1, 0.5, 0.9]):
        race.scored(index, score)
    assert race.running == [1, 2, 3]
    assert race.view.branches[3].parent == 2


def test_it_launches_no_more_than_it_may() -> None:
    race = SmallRace(Beam(4, width=2, max_launches=5))
    step_all(race, 10)
    for index in range(4):
        race.scored(index, index / 10)
    assert len(race.view.branches) == 5


def test_after_so_many_steps_the_beams_left_run_to_their_ends() -> None:
    race = SmallRace(Beam(2, width=2, max_steps=1))
    step_all(race, 10)
    race.scored(0, 0.1)
    race.scored(1, 0.2)
    for index in race.running:
        assert race.step(index, 20) == []


def test_at_the_call_time_it_forces_and_searches_no_further() -> None:
    race = SmallRace(Beam(2, width=2))
    race.step(0, 10)
    race.step(1, 10)
    assert race.call_time() == [Force((0, 1), let_run=True)]
    assert race.scored(0, 0.1) == []
    assert race.scored(1, 0.9) == []
    race.forced(0, "a")
    race.forced(1, "b")
    assert race.decision is not None
    assert race.decision.answer == "b"
    assert race.decision.stop_reason is StopReason.DEADLINE


def test_the_subtrees_of_dvts_do_not_wait_for_each_other_and_keep_one_each() -> None:
    race = SmallRace(Dvts(4, width=2))
    for index in (0, 2):
        race.step(index, 10)
    race.scored(0, 0.1)
    assert race.scored(2, 0.2) == [Cancel((0,), "low score"), Fork(2, 10, 1)]
    assert race.running == [1, 2, 3, 4]
    for index in (1, 3):
        race.step(index, 12)
    race.scored(1, 0.9)
    # Though better than anything in the other subtree, the second of this one is cut.
    assert race.scored(3, 0.8) == [Cancel((3,), "low score"), Fork(1, 12, 1)]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True),
    st.integers(1, 8),
    st.integers(1, 32),
)
def test_the_best_share_the_room_evenly(scores: list[float], keep: int, room: int) -> None:
    candidates = [Candidate(n, score, True, 1) for n, score in enumerate(scores)]
    selection = Best(keep)(candidates, room)
    winners = sorted(range(len(scores)), key=lambda n: -scores[n])[:keep]
    assert list(selection.places) == winners
    assert sum(selection.places.values()) == max(room, len(winners))
    assert max(selection.places.values()) - min(selection.places.values()) <= 1
    assert selection.cut == scores[winners[-1]]


@pytest.mark.parametrize("strategy", [Beam, Dvts])
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("branches", 0),
        ("width", 0),
        ("delimiter", ""),
        ("patience", -1),
        ("max_steps", 0),
        ("max_launches", 15),
        ("pick", "x"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(
    strategy: type[Beam] | type[Dvts], parameter: str, value: object
) -> None:
    with pytest.raises(ValueError, match=parameter):
        strategy(**{parameter: value})  # pyright: ignore[reportArgumentType]


class AnyBeam(AnyRewardedRace):
    @initialize(
        kind=st.sampled_from([Beam, Dvts]),
        branches=st.integers(1, 8),
        width=st.integers(1, 4),
        patience=st.sampled_from([0, 50, 1_000]),
        max_steps=st.sampled_from([1, 3, 40]),
        max_launches=st.sampled_from([8, 20]),
        force_answers=st.booleans(),
    )
    def begin(
        self,
        kind: type[Beam] | type[Dvts],
        branches: int,
        width: int,
        patience: int,
        max_steps: int,
        max_launches: int,
        force_answers: bool,
    ) -> None:
        self.start(
            kind(
                branches,
                width,
                "\n",
                patience,
                max_steps,
                max_launches,
                force_answers=force_answers,
            )
        )

    def check_commands(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Fork):
                assert not self.called
                assert command.tokens in self.view.branches[command.parent].steps

    def check_carried_out(self, commands: Sequence[Command]) -> None:
        assert len(self.view.branches) <= self.strategy.max_launches
        assert len(self.view.active) <= self.strategy.branches
        if any(isinstance(command, Cancel) for command in commands):
            assert self.view.active or self.view.arrivals, "the last one was cut"


TestAnyBeam = AnyBeam.TestCase
TestAnyBeam.settings = settings(max_examples=examples(200), stateful_step_count=60)
