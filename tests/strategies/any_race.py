"""A race that does anything a race might, in any order, to any strategy.

Derive a machine for one strategy and let hypothesis run it::

    class AnyBestOfN(AnyRace):
        @initialize(branches=st.integers(1, 8), threshold=st.floats(0.0, 1.0))
        def begin(self, branches: int, threshold: float) -> None:
            self.start(BestOfN(branches, threshold=threshold))

        def check(self, decision: Decide) -> None:
            ...  # what holds for its decisions beyond what holds for all

    TestAnyBestOfN = AnyBestOfN.TestCase
    TestAnyBestOfN.settings = settings(max_examples=examples(200), stateful_step_count=60)

What is checked of every strategy: one decision and no command after it; commands only for branches
that are there and in a state to take them; no score asked for twice at once; what it needs it said
in ``needs``; once nothing can come any more it has decided; whenever time is up it concludes, with
an answer if any branch has given one, which is that of the branch it shows, or else with the reply
of one that ended by itself.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from frontrunner.runtime.racing.effects import (
    Effect,
    ForceInBackground,
    StandingChanged,
    StopBranches,
)
from frontrunner.strategies.protocol import (
    BranchStatus,
    Cancel,
    Command,
    Decide,
    Extend,
    Force,
    Fork,
    Launch,
    Needs,
    Probe,
    Score,
    StopReason,
)

from .race_driver import DrivenRace, DrivenView, Observed
from .views import FakeBranch

answers = st.sampled_from(["a", "b", "c", None])
pick = st.integers(0, 1_000)


class AnyRace(RuleBasedStateMachine):
    """Drives a strategy as a race would, with events in any order, and checks what it commands."""

    strategy: Any
    race: DrivenRace
    #: The race runs no more branches at a time; launches and forks beyond it are cut short.
    room = 64

    def __init__(self) -> None:
        super().__init__()
        self.view = DrivenView()
        self.needs = Needs()
        self.called = False
        #: Branches that run once the commands before the decision are carried out.
        self.running_then = 0
        self._commands: list[Command] = []

    # ── for the machine of one strategy ───────────────────────────────────────────────────────

    def start(self, strategy: Any) -> None:
        """Begin the race; every machine has one ``initialize`` rule that calls this."""
        self.strategy = strategy
        self.needs = getattr(strategy, "needs", Needs())
        observed = Observed(strategy, self._note, self._check_conclusion)
        self.race = DrivenRace(observed, self.room, watched=True, view=self.view)
        self.core = self.race.core
        self._take(self.core.start())
        assert self.view.branches or self.decision, "nothing was launched"

    def check(self, decision: Decide) -> None:
        """What else holds for a decision that the strategy took."""

    def check_commands(self, commands: Sequence[Command]) -> None:
        """What else holds for what it commands, before it is carried out."""

    def check_carried_out(self, commands: Sequence[Command]) -> None:
        """What else holds once it is carried out."""

    # ── the race ──────────────────────────────────────────────────────────────────────────────

    @property
    def decision(self) -> Decide | None:
        return self.race.core.decision

    @property
    def scoring(self) -> list[int]:
        """Branches whose scores are to come."""
        return self.race.scoring

    def _take(self, effects: Sequence[Effect[FakeBranch]]) -> None:
        self.race.take(effects)
        self.check_carried_out(self._commands)
        self._commands = []
        for effect in effects:
            match effect:
                case StopBranches(branches):
                    self.core.stopped(len(branches))
                case ForceInBackground(branches):
                    self.core.side_requests_ended(len(branches))
                case StandingChanged(leader=leader) if self.decision is None:
                    assert leader == self.strategy.conclude(self.core).answer
                case _:
                    pass

    def _note(self, commands: Sequence[Command]) -> None:
        """Check ``commands`` one by one, each as the race stands after those before it."""
        self.check_commands(commands)
        self._commands.extend(commands)
        statuses = {i: b.status for i, b in self.view.branches.items()}
        scoring, decided = list(self.scoring), self.decision is not None
        for command in commands:
            assert not decided, f"{command} after the decision"
            match command:
                case Launch(count):
                    assert count > 0
                case Fork(parent, tokens, count):
                    assert statuses[parent] is not BranchStatus.FAILED, "a fork of one that is lost"
                    assert 0 <= tokens <= self.view.branches[parent].tokens
                    assert count > 0
                case Extend(index):
                    assert statuses[index] is BranchStatus.FINISHED, f"{command} for {index}"
                    statuses[index] = BranchStatus.RUNNING
                case Cancel(indices):
                    for index in _each(indices):
                        assert statuses[index].active, f"{command} for one that is gone"
                        statuses[index] = BranchStatus.CANCELLED
                case Force(indices):
                    assert getattr(self.strategy, "force_answers", True), (
                        "forced though told not to"
                    )
                    for index in _each(indices):
                        silent = self.view.branches[index].answer is None
                        silent = silent and statuses[index] is BranchStatus.TRUNCATED
                        running = statuses[index] is BranchStatus.RUNNING
                        assert silent or running, "forced though it is gone"
                case Probe(indices):
                    for index in _each(indices):
                        assert statuses[index] is BranchStatus.RUNNING, f"{command} for {index}"
                case Score(indices):
                    assert self.needs.rewards, "it did not say that it needs rewards"
                    for index in _each(indices):
                        gone = (BranchStatus.CANCELLED, BranchStatus.FAILED)
                        assert statuses[index] not in gone, f"{command} for one that is gone"
                        assert index not in scoring, "scored while it is being scored"
                        scoring.append(index)
                case Decide():
                    decided = True
                    self._check_answer(command)
                    self._check_reason(command, statuses)
                    self.running_then = [*statuses.values()].count(BranchStatus.RUNNING)
                    self.check(command)

    def _check_conclusion(self, decision: Decide) -> None:
        """``conclude`` may be asked at any moment, and has no say in what follows."""
        self._check_answer(decision)
        assert decision.stop_reason in (StopReason.DEADLINE, StopReason.FAILED)

    def _branch(self, index: int) -> FakeBranch:
        assert index in self.view.branches, f"there is no branch {index}"
        return self.view.branches[index]

    def _check_answer(self, decision: Decide) -> None:
        assert 0.0 <= decision.confidence <= 1.0
        arrived = [self.view.branches[i] for i in self.view.arrivals]
        came = {b.answer for b in arrived} - {None}
        if decision.answer is None:
            self._check_withheld(decision, arrived)
            assert decision.confidence == 0.0
            return
        known = came | {p.answer for b in self.view.branches.values() for p in b.probes}
        assert decision.answer in known
        if decision.branch is not None:
            shown = self._branch(decision.branch)
            assert decision.answer in {shown.answer, *(p.answer for p in shown.probes)}

    def _check_withheld(self, decision: Decide, arrived: Sequence[FakeBranch]) -> None:
        """Without an answer the first that ended by itself is shown, and answers that others were
        made to give are withheld only where no more of them agree than such branches came."""
        whole = [b for b in arrived if b.status is BranchStatus.FINISHED]
        assert all(b.answer is None for b in whole), "it withholds an answer"
        guesses = Counter(b.answer for b in arrived if b.answer is not None)
        assert max(guesses.values(), default=0) <= len(whole), "it withholds a forced answer"
        assert decision.branch == (whole[0].index if whole else None)

    def _check_reason(self, decision: Decide, statuses: Mapping[int, BranchStatus]) -> None:
        """``statuses``: those after the commands before it."""
        lost = all(b.status is BranchStatus.FAILED for b in self.view.branches.values())
        match decision.stop_reason:
            case StopReason.EXHAUSTED:
                assert not any(status.active for status in statuses.values())
            case StopReason.FAILED:
                assert lost
            case StopReason.DEADLINE:
                assert self.called
            case StopReason.CANCELLED:
                raise AssertionError("only a caller cancels a race")
            case _:
                assert decision.answer is not None

    # ── what may happen ───────────────────────────────────────────────────────────────────────

    def some_run(self) -> bool:
        return self.decision is None and bool(self.view.running)

    def some_are_forced(self) -> bool:
        return self.decision is None and bool(self.race.forcing)

    def some_are_probed(self) -> bool:
        return self.decision is None and bool(self.race.probing)

    @precondition(some_run)
    @rule(
        which=pick,
        tokens=st.integers(1, 500),
        reachable=st.none() | st.floats(0, 2_000),
        confidence=st.floats(0.0, 20.0),
    )
    def progress(self, which: int, tokens: int, reachable: float | None, confidence: float) -> None:
        branch = self.view.running[which % len(self.view.running)]
        branch.tokens += tokens
        branch.written += "x"
        if self.needs.logprobs:
            branch.confidences.extend([confidence] * tokens)
        self.view.reachable_tokens = reachable
        self._take(self.core.progressed(branch, tokens))

    @precondition(lambda self: self.some_run() and self.needs.delimiter is not None)
    @rule(which=pick, tokens=st.integers(1, 100))
    def step(self, which: int, tokens: int) -> None:
        branch = self.view.running[which % len(self.view.running)]
        branch.tokens += tokens
        branch.steps.append(branch.tokens)
        self._take(self.core.stepped(branch))

    @precondition(some_run)
    @rule(which=pick, answer=answers, forced=answers)
    def finish(self, which: int, answer: str | None, forced: str | None) -> None:
        branch = self.view.running[which % len(self.view.running)]
        self._forced_answer_comes(branch, forced)
        self._take(self.core.arrived(branch, answer, BranchStatus.FINISHED))

    @precondition(some_run)
    @rule(which=pick, answer=answers, forced=answers)
    def truncate(self, which: int, answer: str | None, forced: str | None) -> None:
        """It runs into its token limit, perhaps with an answer that was complete by then."""
        branch = self.view.running[which % len(self.view.running)]
        self._forced_answer_comes(branch, forced)
        self._take(self.core.arrived(branch, answer, BranchStatus.TRUNCATED))

    @precondition(some_are_forced)
    @rule(which=pick, answer=answers)
    def finish_forced(self, which: int, answer: str | None) -> None:
        branch = self.race.forcing[which % len(self.race.forcing)]
        self._take(self.core.arrived(branch, answer, BranchStatus.FORCED))

    @precondition(lambda self: self.decision is None and self.view.active)
    @rule(which=pick, forced=answers)
    def fail(self, which: int, forced: str | None) -> None:
        branch = self.view.active[which % len(self.view.active)]
        self._forced_answer_comes(branch, forced)
        self._take(self.core.lost(branch, "lost"))

    def _forced_answer_comes(self, branch: FakeBranch, answer: str | None) -> None:
        """If one was asked for beside ``branch``."""
        if branch.background is not None:
            branch.background.answer = answer

    @precondition(lambda self: self.decision is None and self.scoring)
    @rule(which=pick, score=st.none() | st.floats(0.0, 1.0))
    def score(self, which: int, score: float | None) -> None:
        """Scores come for branches that have ended meanwhile, too."""
        branch = self.view.branches[self.scoring.pop(which % len(self.scoring))]
        self._take(self.core.scored(branch, branch.tokens, score))

    @precondition(some_are_probed)
    @rule(which=pick, answer=answers, fails=st.booleans())
    def probe(self, which: int, answer: str | None, fails: bool) -> None:
        """A probe that fails brings nothing."""
        branch = self.race.probing[which % len(self.race.probing)]
        if fails:
            self.core.probe_lost(branch, branch.probe)
        else:
            self._take(self.core.probed(branch, branch.probe, branch.tokens, answer))
        self.core.side_requests_ended(1)

    @precondition(lambda self: self.decision is None and not self.called)
    @rule(limit=st.integers(1, 8))
    def lower_the_limit(self, limit: int) -> None:
        """Other races need the engine."""
        self._take(self.core.limit_branches(limit))

    @precondition(lambda self: self.decision is None and not self.called)
    @rule()
    def reach_call_time(self) -> None:
        self.called, self.view.reachable_tokens = True, 0.0
        self._take(self.core.reach_call_time())

    @precondition(lambda self: self.decision is None and self.called)
    @rule(forced=st.lists(answers, max_size=12))
    def reach_the_hard_stop(self, forced: list[str | None]) -> None:
        """Forced answers stand for the branches that have not finished, all of them at once."""
        for branch, answer in zip(self.view.running, forced, strict=False):
            self._forced_answer_comes(branch, answer)
        self._take(self.core.reach_hard_stop())
        assert self.decision is not None

    @rule(busy=st.booleans())
    def load(self, busy: bool) -> None:
        """Other races take the engine's room for forced answers beside branches, or leave it."""
        self.race.beside = 0.0 if busy else float("inf")

    @rule()
    def conclude(self) -> None:
        if self.decision is None:
            self._check_conclusion(self.strategy.conclude(self.core))

    @invariant()
    def it_is_decided_when_nothing_can_come_any_more(self) -> None:
        if self.view.branches and not self.view.active and not self.scoring:
            assert self.decision is not None


def _each(indices: Sequence[int]) -> Sequence[int]:
    assert indices, "a command for no branch"
    assert len(set(indices)) == len(indices), "a branch named twice"
    return indices
