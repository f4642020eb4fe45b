"""Probing, by example and under a driver that does anything a race might."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.probe import Mode, Probing
from frontrunner.strategies.protocol import (
    BranchStatus,
    Cancel,
    Command,
    Decide,
    Force,
    Launch,
    Needs,
    Probe,
    StopReason,
)
from frontrunner.strategies.stopping import preference

from .any_race import AnyRace
from .small_race import SmallRace


def probe_all(race: SmallRace, tokens: int, answers: str) -> list[Command]:
    """Everybody's probe of the checkpoint at ``tokens``; '-' is no answer."""
    commands: list[Command] = []
    for index in race.running:
        commands += race.progress(index, tokens)
        if race.decision is not None:
            return commands
    for index in race.running:
        answer = answers[index]
        commands += race.probed(index, None if answer == "-" else answer)
        if race.decision is not None:
            break
    return [c for c in commands if not isinstance(c, Probe)]


def test_every_branch_is_probed_once_at_each_checkpoint() -> None:
    race = SmallRace(Probing(2, every=100))
    assert race.first == [Launch(2)]
    assert race.strategy.needs == Needs(progress=True)  # pyright: ignore[reportAttributeAccessIssue]
    assert race.progress(0, 99) == []
    assert race.progress(0, 101) == [Probe((0,))]
    assert race.progress(0, 150) == []
    assert race.progress(1, 100) == [Probe((1,))]
    assert race.progress(0, 420) == [Probe((0,))]


def test_running_branches_do_not_call_a_race_however_much_they_agree() -> None:
    race = SmallRace(Probing(8, every=10))
    for round_ in range(1, 30):
        assert probe_all(race, 10 * round_, "aaaaaaaa") == []
    race.finish(0, "b")
    assert race.decision is None
    race.finish(1, "a")
    assert race.decision is None  # nobody leads


def test_a_finished_answer_that_most_branches_would_give_now_calls_it() -> None:
    race = SmallRace(Probing(8, every=10))
    assert probe_all(race, 10, "aaaabbbb") == []
    race.finish(0, "a")  # 4 of 8
    assert race.decision is None
    race.progress(4, 20)
    assert race.probed(4, "a") == [Decide("a", 0, StopReason.CONFIDENT_MAJORITY, preference(1, 0))]


def test_without_confirmation_the_stop_rule_alone_calls_it() -> None:
    race = SmallRace(Probing(16, every=10, agreement=1.0))
    assert probe_all(race, 10, "a" * 16) == []
    race.finish(0, "a")
    assert race.decision is None
    race.finish(1, "a")
    assert race.decision is not None
    assert race.decision.stop_reason is StopReason.CONFIDENT_MAJORITY


def test_branches_that_were_cut_do_not_confirm_anything() -> None:
    race = SmallRace(Probing(5, every=10, warmup=2, deviation=2, max_flip_risk=0.0))
    assert probe_all(race, 10, "aaabb") == []
    assert probe_all(race, 20, "aaabb") == [
        Cancel((3,), "disagrees with the consensus"),
        Cancel((4,), "disagrees with the consensus"),
    ]
    race.progress(1, 30)
    race.probed(1, "c")
    race.finish(0, "a")  # 2 of 5 that were launched, 2 of 3 that are left
    assert race.decision is None
    race.progress(1, 40)
    assert race.probed(1, "a") == [Decide("a", 0, StopReason.CONFIDENT_MAJORITY, preference(1, 0))]


def test_at_the_call_time_a_recent_probe_stands_in_for_a_forced_answer() -> None:
    race = SmallRace(Probing(4, every=100))
    for index in range(3):
        race.progress(index, 100)
    race.probed(0, "a")
    race.probed(1, "b")
    race.probed(2, None)
    race.progress(1, 201)  # its probe is old
    assert race.call_time() == [Force((1, 2, 3))]
    race.forced(2, "c")
    race.forced(3, "a")
    assert race.conclude() == Decide("a", 3, StopReason.DEADLINE, preference(2, 1))


def test_probes_and_forced_answers_only_break_ties_of_finished_ones() -> None:
    race = SmallRace(Probing(6, every=100, stop="none"))
    race.finish(0, "a")
    for index in range(1, 6):
        race.progress(index, 100)
        race.probed(index, "b")
    assert race.conclude().answer == "a"
    race.finish(1, "c")
    race.probed(2, "c")
    assert race.conclude().answer == "c"


def test_a_branch_that_keeps_disagreeing_is_cut_and_still_counts_as_to_come() -> None:
    race = SmallRace(Probing(4, every=10, warmup=3, deviation=2, stop="clinch"))
    for round_ in (1, 2):
        assert probe_all(race, 10 * round_, "aaab") == []
    assert probe_all(race, 30, "aaab") == [Cancel((3,), "disagrees with the consensus")]
    race.finish(0, "a")
    # 1 ahead of nobody, 2 that run and 1 that was cut: 2 votes would not be enough either.
    race.finish(1, "a")
    assert race.decision is None
    race.finish(2, "a")
    assert race.decision is not None
    assert race.decision.stop_reason is StopReason.EXHAUSTED


def test_a_branch_that_agrees_again_begins_anew_and_silence_says_nothing() -> None:
    race = SmallRace(Probing(3, every=10, warmup=1, deviation=3))
    for round_, said in enumerate(["aab", "aab", "aaa", "aab", "aa-", "aab"], 1):
        assert probe_all(race, 10 * round_, said) == []
    assert probe_all(race, 70, "aab") == [Cancel((2,), "disagrees with the consensus")]


def test_nobody_is_cut_for_disagreeing_where_that_is_switched_off() -> None:
    race = SmallRace(Probing(3, every=10, warmup=1, deviation=1, prune=False))
    assert probe_all(race, 10, "aab") == []


def test_dynasor_stops_a_branch_that_is_certain_and_takes_its_answer() -> None:
    race = SmallRace(Probing(1, mode="dynasor", every=32, patience=3))
    for round_, said in enumerate("aab", 1):
        probe_all(race, 32 * round_, said)
    probe_all(race, 128, "-")
    for round_ in (5, 6):
        assert probe_all(race, 32 * round_, "b") == []
    assert probe_all(race, 224, "b") == [
        Cancel((0,), "certain of its answer"),
        Decide("b", 0, StopReason.EXHAUSTED, preference(1, 0)),
    ]


def test_certain_branches_vote_like_finished_ones() -> None:
    race = SmallRace(Probing(8, mode="dynasor", every=10, patience=1))
    race.finish(0, "b")
    race.progress(1, 10)
    assert race.probed(1, "a") == [Cancel((1,), "certain of its answer")]
    race.progress(2, 10)
    race.probed(2, "a")
    assert race.decision == Decide("a", 1, StopReason.CONFIDENT_MAJORITY, preference(2, 1))


def test_parallel_probe_stops_once_the_consensus_has_not_changed_for_long() -> None:
    race = SmallRace(Probing(3, mode="parallel_probe", every=10, stable=3, warmup=99))
    for round_, said in enumerate(["abb", "aab", "aab", "aab"], 1):
        assert probe_all(race, 10 * round_, said) == []
    commands = race.progress(2, 50)  # the first that is due for the next round
    assert commands == [Decide("a", 0, StopReason.CONFIDENT_MAJORITY, preference(2, 1))]


def test_parallel_probe_cuts_dissenters_for_good() -> None:
    race = SmallRace(Probing(4, mode="parallel_probe", every=10, warmup=2, deviation=2))
    assert probe_all(race, 10, "aaab") == []
    assert probe_all(race, 20, "aaab") == [Cancel((3,), "disagrees with the consensus")]
    race.finish(0, "a")
    race.finish(1, "b")
    race.finish(2, "b")
    assert race.decision is not None
    assert race.decision.answer == "b"


def test_after_the_call_time_nobody_is_probed_or_cut() -> None:
    race = SmallRace(Probing(3, every=10, warmup=1, deviation=1))
    race.finish(0, "a")
    assert race.call_time() == []
    assert race.progress(1, 10) == []
    assert race.probed(1, "b") == []


def test_with_every_branch_lost_it_has_failed() -> None:
    race = SmallRace(Probing(1))
    race.fail(0)
    assert race.decision == Decide(None, None, StopReason.FAILED, 0.0)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("branches", 0),
        ("mode", "x"),
        ("every", 0),
        ("patience", 0),
        ("warmup", 0),
        ("deviation", 0),
        ("stable", 0),
        ("stop", "x"),
        ("min_votes", 0),
        ("max_flip_risk", 1.0),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(parameter: str, value: object) -> None:
    with pytest.raises(ValueError, match=parameter):
        Probing(**{parameter: value})  # pyright: ignore[reportArgumentType]


class AnyProbing(AnyRace):
    @initialize(
        branches=st.integers(1, 8),
        mode=st.sampled_from(["safe", "dynasor", "parallel_probe"]),
        every=st.sampled_from([1, 100]),
        patience=st.integers(1, 3),
        warmup=st.integers(1, 3),
        deviation=st.integers(1, 3),
        stable=st.integers(1, 4),
        stop=st.sampled_from(["flip_risk", "clinch", "none"]),
        force_answers=st.booleans(),
    )
    def begin(
        self,
        branches: int,
        mode: Mode,
        every: int,
        patience: int,
        warmup: int,
        deviation: int,
        stable: int,
        stop: str,
        force_answers: bool,
    ) -> None:
        strategy = Probing(
            branches,
            mode,
            every,
            patience,
            warmup,
            deviation,
            stable,
            stop=stop,  # pyright: ignore[reportArgumentType]
            force_answers=force_answers,
        )
        self.start(strategy)

    def check_commands(self, commands: Sequence[Command]) -> None:
        assert not self.called or not any(isinstance(command, Probe) for command in commands)

    def check(self, decision: Decide) -> None:
        finished = Counter(
            b.answer
            for i in self.view.arrivals
            if (b := self.view.branches[i]).status is BranchStatus.FINISHED and b.answer is not None
        )
        if self.strategy.mode == "safe":
            if finished:
                assert decision.answer is not None
                assert finished[decision.answer] == max(finished.values())
            if decision.stop_reason is StopReason.CONFIDENT_MAJORITY:
                assert decision.answer is not None
                now = [
                    b.probes[-1].answer
                    for b in self.view.branches.values()
                    if b.status is BranchStatus.RUNNING and b.probes
                ]
                everybody = len(self.view.branches) - sum(
                    b.status is BranchStatus.FAILED
                    or (b.status is BranchStatus.FINISHED and b.answer is None)
                    for b in self.view.branches.values()
                )
                agreeing = finished[decision.answer] + now.count(decision.answer)
                assert (
                    finished.total() >= self.strategy.min_votes
                    or agreeing > self.strategy.agreement * everybody
                )
        if self.strategy.mode != "parallel_probe" and self.strategy.stop == "none":
            assert decision.stop_reason not in (StopReason.CLINCHED, StopReason.CONFIDENT_MAJORITY)
        if decision.answer is not None:
            assert decision.branch is not None
            assert decision.confidence >= 0.5


TestAnyProbing = AnyProbing.TestCase
TestAnyProbing.settings = settings(max_examples=examples(200), stateful_step_count=50)
