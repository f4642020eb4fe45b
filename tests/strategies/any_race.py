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
an answer if any branch has given one, which is that of the branch it shows.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from frontrunner.strategies.protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchLimitLowered,
    BranchProbed,
    BranchProgressed,
    BranchScored,
    BranchStarted,
    BranchStatus,
    BranchStepped,
    CallTimeReached,
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
    ProbeAnswer,
    Score,
    StopReason,
)

from .views import FakeBranch, FakeView

answers = st.sampled_from(["a", "b", "c", None])
pick = st.integers(0, 1_000)


class AnyRace(RuleBasedStateMachine):
    """Drives a strategy as a race would, with events in any order, and checks what it commands."""

    strategy: Any
    #: The race runs no more branches at a time; launches and forks beyond it are cut short.
    room = 64

    def __init__(self) -> None:
        super().__init__()
        self.view = FakeView()
        self.needs = Needs()
        self.decision: Decide | None = None
        self.called = False
        self.scoring: list[int] = []
        self.probing: list[int] = []
        #: Those that run on while a forced answer is kept for them.
        self.beside: set[int] = set()
        self.busy = False
        self.pending: list[Observation] = []

    # ── for the machine of one strategy ───────────────────────────────────────────────────────

    def start(self, strategy: Any) -> None:
        """Begin the race; every machine has one ``initialize`` rule that calls this."""
        self.strategy = strategy
        self.needs = getattr(strategy, "needs", Needs())
        self._carry_out(strategy.start(self.view))
        self._drain()
        assert self.view.branches or self.decision, "nothing was launched"

    def check(self, decision: Decide) -> None:
        """What else holds for a decision that the strategy took."""

    # ── the race ──────────────────────────────────────────────────────────────────────────────

    def observe(self, observation: Observation) -> None:
        self.pending.append(observation)
        self._drain()

    def _drain(self) -> None:
        while self.pending and self.decision is None:
            self._carry_out(self.strategy.observe(self.pending.pop(0), self.view))

    def _carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            assert self.decision is None, f"{command} after the decision"
            match command:
                case Launch(count):
                    assert count > 0
                    for _ in range(min(count, self.room - len(self.view.active))):
                        self.pending.append(BranchStarted(self.view.add().index))
                case Fork(parent, tokens, count):
                    self._fork(parent, tokens, count)
                case Extend(index):
                    branch = self._branch(index)
                    assert branch.status is BranchStatus.FINISHED, f"{command} while {branch}"
                    branch.status, branch.answer = BranchStatus.RUNNING, None
                    self.view.arrivals.remove(index)
                case Cancel(indices):
                    for branch in self._branches(indices):
                        assert branch.status.active, f"{command} for one that is gone"
                        branch.status = BranchStatus.CANCELLED
                        self.beside.discard(branch.index)
                    self.probing = [i for i in self.probing if i not in indices]
                case Force(indices, let_run):
                    self._force(indices, let_run and not self.busy)
                case Probe(indices):
                    for branch in self._branches(indices):
                        assert branch.status is BranchStatus.RUNNING, f"{command} for {branch}"
                        if branch.index not in self.probing:  # nor does a race probe it twice
                            self.probing.append(branch.index)
                case Score(indices):
                    assert self.needs.rewards, "it did not say that it needs rewards"
                    for branch in self._branches(indices):
                        assert branch.status not in (
                            BranchStatus.CANCELLED,
                            BranchStatus.FAILED,
                        ), f"{command} for one that is gone"
                        assert branch.index not in self.scoring, "scored while it is being scored"
                        self.scoring.append(branch.index)
                case Decide():
                    self.decision = command
                    self._check_answer(command)
                    self._check_reason(command)
                    self.check(command)

    def _branch(self, index: int) -> FakeBranch:
        assert index in self.view.branches, f"there is no branch {index}"
        return self.view.branches[index]

    def _branches(self, indices: Sequence[int]) -> list[FakeBranch]:
        assert indices, "a command for no branch"
        assert len(set(indices)) == len(indices), "a branch named twice"
        return [self._branch(i) for i in indices]

    def _fork(self, parent: int, tokens: int, count: int) -> None:
        origin = self._branch(parent)
        assert origin.status is not BranchStatus.FAILED, "a fork of one that is lost"
        assert 0 <= tokens <= origin.tokens
        assert count > 0
        for _ in range(min(count, self.room - len(self.view.active))):
            child = self.view.add()
            child.parent, child.tokens = parent, tokens
            child.steps = [end for end in origin.steps if end <= tokens]
            child.text, child.confidences = origin.text, origin.confidences[:tokens]
            self.pending.append(BranchStarted(child.index))

    def _force(self, indices: Sequence[int], let_run: bool) -> None:
        assert getattr(self.strategy, "force_answers", True), "forced though told not to"
        for branch in self._branches(indices):
            silent = branch.status is BranchStatus.FINISHED and branch.answer is None
            assert silent or branch.status is BranchStatus.RUNNING, "forced though it is gone"
            if let_run and not silent:
                self.beside.add(branch.index)
                continue
            branch.status = BranchStatus.FORCING
            if branch.index in self.view.arrivals:
                self.view.arrivals.remove(branch.index)
        self.probing = [i for i in self.probing if i not in indices]

    def _take_forced(self, branch: FakeBranch, answer: str | None) -> bool:
        """End a running branch with the answer that was forced beside it, if there is one."""
        if branch.index not in self.beside or answer is None:
            return False
        self.beside.remove(branch.index)
        self.probing = [i for i in self.probing if i != branch.index]
        branch.status, branch.answer = BranchStatus.FORCED, answer
        self.view.arrivals.append(branch.index)
        return True

    def _check_answer(self, decision: Decide) -> None:
        assert 0.0 <= decision.confidence <= 1.0
        came = {self.view.branches[i].answer for i in self.view.arrivals} - {None}
        if decision.answer is None:
            assert not came, "it withholds an answer"
            assert decision.confidence == 0.0
            return
        known = came | {p.answer for b in self.view.branches.values() for p in b.probes}
        assert decision.answer in known
        if decision.branch is not None:
            shown = self._branch(decision.branch)
            assert decision.answer in {shown.answer, *(p.answer for p in shown.probes)}

    def _check_reason(self, decision: Decide) -> None:
        lost = all(b.status is BranchStatus.FAILED for b in self.view.branches.values())
        match decision.stop_reason:
            case StopReason.EXHAUSTED:
                assert not self.view.active
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
        return self.decision is None and any(
            b.status is BranchStatus.FORCING for b in self.view.active
        )

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
        branch.text += "x"
        if self.needs.logprobs:
            branch.confidences.extend([confidence] * tokens)
        self.view.reachable_tokens = reachable
        self.observe(BranchProgressed(branch.index, tokens))

    @precondition(lambda self: self.some_run() and self.needs.delimiter is not None)
    @rule(which=pick, tokens=st.integers(1, 100))
    def step(self, which: int, tokens: int) -> None:
        branch = self.view.running[which % len(self.view.running)]
        branch.tokens += tokens
        branch.steps.append(branch.tokens)
        self.observe(BranchStepped(branch.index))

    @precondition(some_run)
    @rule(which=pick, answer=answers, forced=answers)
    def finish(self, which: int, answer: str | None, forced: str | None) -> None:
        branch = self.view.running[which % len(self.view.running)]
        if answer is None and self._take_forced(branch, forced):
            self.observe(BranchForced(branch.index))
            return
        branch.status, branch.answer = BranchStatus.FINISHED, answer
        self.view.arrivals.append(branch.index)
        self.probing = [i for i in self.probing if i != branch.index]
        self.observe(BranchFinished(branch.index))

    @precondition(some_are_forced)
    @rule(which=pick, answer=answers)
    def finish_forced(self, which: int, answer: str | None) -> None:
        forcing = [b for b in self.view.active if b.status is BranchStatus.FORCING]
        branch = forcing[which % len(forcing)]
        branch.status, branch.answer = BranchStatus.FORCED, answer
        self.view.arrivals.append(branch.index)
        self.observe(BranchForced(branch.index))

    @precondition(lambda self: self.decision is None and self.view.active)
    @rule(which=pick, forced=answers)
    def fail(self, which: int, forced: str | None) -> None:
        branch = self.view.active[which % len(self.view.active)]
        if self._take_forced(branch, forced):
            self.observe(BranchForced(branch.index))
            return
        branch.status = BranchStatus.FAILED
        self.probing = [i for i in self.probing if i != branch.index]
        self.observe(BranchFailed(branch.index))

    @precondition(lambda self: self.decision is None and self.scoring)
    @rule(which=pick, score=st.none() | st.floats(0.0, 1.0))
    def score(self, which: int, score: float | None) -> None:
        """Scores come for branches that have ended meanwhile, too."""
        branch = self.view.branches[self.scoring.pop(which % len(self.scoring))]
        branch.score, branch.scored_tokens = score, branch.tokens
        self.observe(BranchScored(branch.index))

    @precondition(lambda self: self.decision is None and self.probing)
    @rule(which=pick, answer=answers, fails=st.booleans())
    def probe(self, which: int, answer: str | None, fails: bool) -> None:
        """A probe that fails brings nothing."""
        branch = self.view.branches[self.probing.pop(which % len(self.probing))]
        if not fails:
            branch.probes.append(ProbeAnswer(branch.tokens, answer))
            self.observe(BranchProbed(branch.index))

    @precondition(lambda self: self.decision is None and not self.called)
    @rule(share=st.integers(1, 8))
    def shrink(self, share: int) -> None:
        """Other races need the engine."""
        self.observe(BranchLimitLowered(share))

    @precondition(lambda self: self.decision is None and not self.called)
    @rule()
    def reach_call_time(self) -> None:
        self.called, self.view.reachable_tokens = True, 0.0
        self.observe(CallTimeReached())

    @precondition(lambda self: self.decision is None and self.called)
    @rule(forced=st.lists(answers, max_size=12))
    def reach_the_hard_stop(self, forced: list[str | None]) -> None:
        """Forced answers stand for the branches that have not finished, all of them at once."""
        came = [
            BranchForced(branch.index)
            for branch, answer in zip(self.view.running, forced, strict=False)
            if self._take_forced(branch, answer)
        ]
        self.pending.extend(came)
        self._drain()
        if self.decision is None:
            self.conclude()
            self.decision = self.strategy.conclude(self.view)

    @rule(busy=st.booleans())
    def load(self, busy: bool) -> None:
        """Other races take the engine's room for forced answers beside branches, or leave it."""
        self.busy = busy

    @rule()
    def conclude(self) -> None:
        """May come at any moment, and has no say in what follows: here the race just goes on."""
        if self.decision is not None:
            return
        decision = self.strategy.conclude(self.view)
        self._check_answer(decision)
        assert decision.stop_reason in (StopReason.DEADLINE, StopReason.FAILED)

    @invariant()
    def it_is_decided_when_nothing_can_come_any_more(self) -> None:
        if self.view.branches and not self.view.active and not self.scoring:
            assert self.decision is not None
