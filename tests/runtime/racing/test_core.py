"""The core of a race: any strategy at all, and anything that may come, in any order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.profiles import examples
from tests.strategies.race_driver import DrivenRace
from tests.strategies.views import FakeBranch

from frontrunner.runtime.racing import effects as e
from frontrunner.runtime.racing.core import RaceCore
from frontrunner.runtime.racing.core_state import CoreOptions
from frontrunner.strategies.protocol import (
    BranchFinished,
    BranchStatus,
    Cancel,
    Command,
    Decide,
    Extend,
    Force,
    Fork,
    Launch,
    Needs,
    Observation,
    Probe,
    RaceView,
    Score,
    StopReason,
)
from frontrunner.strategies.standing import Standing

from .shared_slots import SharedSlots

index = st.one_of(st.integers(0, 3), st.integers(-1, 9))
indices = st.lists(index, max_size=4).map(tuple)
command = st.one_of(
    st.integers(-1, 6).map(Launch),
    st.builds(Fork, index, st.integers(0, 9), st.integers(-1, 3)),
    st.builds(Extend, index, st.just("Wait")),
    st.builds(Cancel, indices, st.just("enough")),
    st.builds(Force, indices, st.booleans()),
    st.builds(Probe, indices),
    st.builds(Score, indices),
)
commands = st.lists(command, max_size=4)
decide = Decide("a", None, StopReason.CONFIDENT_MAJORITY, 0.5)
answers = st.sampled_from(["a", "b", None])
pick = st.integers(0, 1_000)


@dataclass
class Scripted:
    """A strategy that commands what it is told to, with or without reason."""

    waiting: list[Sequence[Command]] = field(default_factory=list[Sequence[Command]])
    first: Sequence[Command] = ()
    needs: Needs = field(default_factory=Needs)
    heard: list[Observation] = field(default_factory=list[Observation])
    decided: bool = False

    def start(self, view: RaceView) -> Sequence[Command]:
        return self._given(self.first)

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        assert not self.decided, "asked after the decision"
        self.heard.append(observation)
        return self._given(self.waiting.pop(0)) if self.waiting else []

    def _given(self, given: Sequence[Command]) -> Sequence[Command]:
        self.decided = self.decided or any(isinstance(c, Decide) for c in given)
        return given

    def conclude(self, view: RaceView) -> Decide:
        return Decide(None, None, StopReason.DEADLINE, 0.0)


class AnyCommands(RuleBasedStateMachine):
    """Keeps an engine's books beside the core: what it was asked to run, and what of it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.strategy = Scripted()
        self.running: set[int] = set()  # branches whose own or forced request is with the engine
        self.side: set[int] = set()  # ids of probes and background answers that are with it
        self.aborting = 0  # branches that the engine has not been told of yet
        self.scoring: list[int] = []
        self.decisions = 0

    @initialize(
        first=commands, granted=st.integers(1, 4), free=st.integers(0, 3), forcible=st.booleans()
    )
    def begin(self, first: list[Command], granted: int, free: int, forcible: bool) -> None:
        self.strategy.first = [Launch(granted), *first]
        self.race = DrivenRace(self.strategy, granted)
        self.slots = SharedSlots(granted, free)
        options = CoreOptions(granted, 12, forcible=forcible, slots=self.slots)
        self.race.core = RaceCore(self.strategy, self.race, options)
        self.race.core.watched = True
        self.granted = granted
        self._take(self.race.core.start())

    @property
    def core(self) -> RaceCore[FakeBranch]:
        return self.race.core

    def _take(self, effects: Sequence[e.Effect[FakeBranch]]) -> None:
        for effect in effects:
            after = isinstance(effect, e.BranchEnded | e.DropSideRequests | e.StopBranches)
            assert not self.decisions or after, f"{effect} after the decision"
            match effect:
                case e.StartBranch(branch) | e.ResumeBranch(branch):
                    assert branch.index not in self.running
                    self.running.add(branch.index)
                case e.StopBranches(branches):
                    self.running.difference_update(b.index for b in branches)
                    self.aborting += len(branches)
                case e.ForceBranches(branches, running):
                    assert all(b.index in self.running for b in running)
                    self.running.update(b.index for b in branches)
                case e.ForceInBackground(_, answers):
                    self.side.update(map(id, answers))
                case e.SendProbe(_, probe):
                    self.side.add(id(probe))
                case e.DropSideRequests(_, probe, background):
                    for request in (probe, background):
                        if id(request) in self.side:
                            self._side_ends(request)
                case e.ScoreBranches(tasks):
                    self.scoring.extend(tasks)
                case e.Decided():
                    self.decisions += 1
                case _:
                    pass

    def _side_ends(self, request: Any) -> None:
        self.side.remove(id(request))
        self.core.side_requests_ended(1)

    def undecided(self) -> bool:
        return self.core.decision is None

    def some_run(self) -> bool:
        return self.undecided() and bool(self.race.view.running)

    # ── what may happen ───────────────────────────────────────────────────────────────────────

    @rule(given=st.lists(commands, max_size=3), decides=st.sampled_from([False] * 9 + [True]))
    def plan(self, given: list[list[Command]], decides: bool) -> None:
        """What the strategy will do about what it hears next."""
        self.strategy.waiting = [*given, [decide]] if decides else list(given)

    @precondition(lambda self: self.undecided() and self.core.branches)
    @rule(which=pick, given=commands)
    def command(self, which: int, given: list[Command]) -> None:
        self.strategy.waiting = [given]
        branch = self.core.branches[which % len(self.core.branches)]
        self._take(self.core.progressed(branch, 1))

    @precondition(some_run)
    @rule(which=pick, answer=answers, forced=answers)
    def finish(self, which: int, answer: str | None, forced: str | None) -> None:
        branch = self.race.view.running[which % len(self.race.view.running)]
        if branch.background is not None:
            branch.background.answer = forced
        self.running.discard(branch.index)
        self._take(self.core.arrived(branch, answer, BranchStatus.FINISHED))

    @precondition(some_run)
    @rule(which=pick, answer=answers, forced=answers)
    def truncate(self, which: int, answer: str | None, forced: str | None) -> None:
        branch = self.race.view.running[which % len(self.race.view.running)]
        if branch.background is not None:
            branch.background.answer = forced
        self.running.discard(branch.index)
        self._take(self.core.arrived(branch, answer, BranchStatus.TRUNCATED))

    @precondition(lambda self: self.undecided() and self.race.forcing)
    @rule(which=pick, answer=answers)
    def finish_forced(self, which: int, answer: str | None) -> None:
        branch = self.race.forcing[which % len(self.race.forcing)]
        self.running.discard(branch.index)
        self._take(self.core.arrived(branch, answer, BranchStatus.FORCED))

    @precondition(lambda self: self.undecided() and self.race.view.active)
    @rule(which=pick)
    def lose(self, which: int) -> None:
        branch = self.race.view.active[which % len(self.race.view.active)]
        self.running.discard(branch.index)
        self._take(self.core.lost(branch, "lost"))

    @precondition(lambda self: self.undecided() and self.race.probing)
    @rule(which=pick, answer=answers)
    def probe(self, which: int, answer: str | None) -> None:
        branch = self.race.probing[which % len(self.race.probing)]
        probe = branch.probe
        self._side_ends(probe)
        self._take(self.core.probed(branch, probe, branch.tokens, answer))

    @precondition(lambda self: self.scoring)
    @rule(which=pick, score=st.none() | st.floats(0, 1))
    def score(self, which: int, score: float | None) -> None:
        branch = self.core.branches[self.scoring.pop(which % len(self.scoring))]
        self._take(self.core.scored(branch, 0, score))

    @precondition(lambda self: self.aborting)
    @rule()
    def the_engine_is_told(self) -> None:
        self.aborting -= 1
        self.core.stopped(1)

    @precondition(undecided)
    @rule(which=pick, answer=answers, status=st.sampled_from(["finished", "forced"]))
    def something_comes_too_late(self, which: int, answer: str | None, status: str) -> None:
        """From a branch that ended before: it changes nothing."""
        gone = [b for b in self.core.branches.values() if not b.status.active]
        if gone:
            branch = gone[which % len(gone)]
            before = (branch.status, branch.answer, list(self.core.arrivals))
            assert self.core.arrived(branch, answer, BranchStatus(status)) == []
            assert self.core.probed(branch, object(), 0, answer) == []
            assert self.core.lost(branch, "late") == []
            assert before == (branch.status, branch.answer, list(self.core.arrivals))

    @rule(limit=st.integers(1, 5))
    def lower_the_limit(self, limit: int) -> None:
        self._take(self.core.limit_branches(limit))

    @precondition(lambda self: self.undecided() and not self.core.called)
    @rule()
    def reach_call_time(self) -> None:
        self._take(self.core.reach_call_time())

    @precondition(lambda self: self.undecided() and self.core.called)
    @rule()
    def reach_hard_stop(self) -> None:
        # Those that adopt a forced answer leave their own request to the end of the race.
        self._take(self.core.reach_hard_stop())
        assert self.core.decision is not None

    # ── what holds always ─────────────────────────────────────────────────────────────────────

    @invariant()
    def one_decision(self) -> None:
        assert self.decisions == (self.core.decision is not None)

    @invariant()
    def arrivals_are_those_that_finished_or_were_forced(self) -> None:
        ended = (BranchStatus.FINISHED, BranchStatus.TRUNCATED, BranchStatus.FORCED)
        came = {b.index for b in self.core.branches.values() if b.status in ended}
        assert len(set(self.core.arrivals)) == len(self.core.arrivals)
        assert set(self.core.arrivals) == came

    @invariant()
    def who_is_active_has_a_request_and_nobody_else(self) -> None:
        active = {b.index for b in self.race.view.active}
        if self.core.called and self.core.decision is not None:
            assert active <= self.running  # see ``reach_hard_stop``
        else:
            assert active == self.running

    @invariant()
    def slots_add_up(self) -> None:
        active = len(self.race.view.active)
        assert self.core.active == active <= self.granted
        assert len(self.core.branches) <= 12
        account = self.core.slots
        assert account.aborting == self.aborting
        assert account.beside == len(self.side)
        # A fork may take over the slot of a branch that the engine has not been told of.
        assert active + len(self.side) <= self.slots.held
        if not self.aborting:
            assert self.slots.held <= max(active + len(self.side), 0) or self.core.decision

    def teardown(self) -> None:
        if not hasattr(self, "race"):
            return
        self._take(self.core.conclude())
        self._take(self.core.close("over"))
        assert not self.race.view.active
        for _ in range(self.aborting):
            self.core.stopped(1)
        self.aborting = 0
        assert self.core.slots.aborting == 0
        assert not self.side, "a request beside a branch was left"


TestAnyCommands = AnyCommands.TestCase
TestAnyCommands.settings = settings(max_examples=examples(1_500), stateful_step_count=40)


@dataclass
class Weighing(Scripted):
    """Decides for the answer that weighs most."""

    weights: dict[str, float] = field(default_factory=dict[str, float])

    def standing(self, view: RaceView) -> Standing:
        return Standing(max(self.weights, key=lambda a: self.weights[a]), self.weights)


def started(strategy: Scripted, branches: int, **options: Any) -> DrivenRace:
    strategy.first = [Launch(branches)]
    race = DrivenRace(strategy, branches)
    race.core = RaceCore(strategy, race, CoreOptions(branches, 2 * branches, **options))
    race.core.watched = True
    race.take(race.core.start())
    return race


def test_the_leader_is_the_one_that_the_strategy_would_decide_for() -> None:
    race = started(Weighing(weights={"42": 0.1, "7": 0.9}), 3)
    for branch, answer in zip(race.view.running, ["42", "42", "7"], strict=True):
        race.take(race.core.arrived(branch, answer, BranchStatus.FINISHED))
    told = [effect for effect in race.done if isinstance(effect, e.StandingChanged)]
    assert [t.leader for t in told] == ["7", "7", "7"]
    assert told[-1].finished == {"42": 2, "7": 1}
    assert told[-1].weights == {"42": 0.1, "7": 0.9}


def test_the_standing_is_told_where_it_changed_and_as_the_strategy_has_heard_it() -> None:
    strategy = Scripted()
    race = started(strategy, 2)
    first, second = race.view.running
    strategy.waiting = [[Cancel((second.index,), "enough"), decide]]
    effects = race.core.arrived(first, "a", BranchStatus.FINISHED)
    assert [type(effect) for effect in effects] == [
        e.BranchEnded,
        e.StandingChanged,
        e.BranchEnded,
        e.StopBranches,
        e.Decided,
    ]
    assert effects[1] == e.StandingChanged({"a": 1}, {}, "a", {"a": 1.0})


@pytest.mark.parametrize("tolerant", [True, False])
def test_a_strategy_that_fails_costs_its_advice_and_not_the_race(tolerant: bool) -> None:
    class Broken(Scripted):
        def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
            if isinstance(observation, BranchFinished):
                raise RuntimeError("broken")
            return []

    race = started(Broken(), 1, tolerant=tolerant)
    (branch,) = race.view.running
    if not tolerant:
        with pytest.raises(RuntimeError, match="broken"):
            race.core.arrived(branch, "a", BranchStatus.FINISHED)
        return
    effects = race.core.arrived(branch, "a", BranchStatus.FINISHED)
    assert any(isinstance(effect, e.StrategyFailed) for effect in effects)
    assert race.core.decision is None
    race.take(race.core.conclude())
    assert race.core.decision is not None
