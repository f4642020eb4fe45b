"""Probing: what running branches would answer now.

A probe's answer is a guess from the middle of the reasoning. Counted like a vote when deciding
whether to stop, such guesses cost 2 to 10 points (replays of 90 contest problems x 128 branches of
Qwen3-8B). In the default mode they are no votes therefore, they only confirm one: the race is
called by a finished branch, and the sooner if most of those that still run would answer the same.
The published modes let probes call the race by themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .branch_limit import shed_branches
from .closing import Closing, decide_for, over
from .lengths import expected_arrivals
from .protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchLimitLowered,
    BranchProbed,
    BranchProgressed,
    BranchStatus,
    BranchView,
    CallTimeReached,
    Cancel,
    Command,
    Decide,
    Force,
    Launch,
    Needs,
    Observation,
    Probe,
    RaceView,
    StopReason,
)
from .stopping import clinched, flip_risk, preference
from .votes import Tally, count, replies, supporter

Mode = Literal["safe", "dynasor", "parallel_probe"]


@dataclass(slots=True)
class Probing:
    """Majority vote, with a probe of every running branch each ``every`` tokens.

    ``safe`` (default): finished votes call the race, by the stop rule or confirmed: the leader of
    the finished votes, be it the first finisher alone, is confirmed if more than a share
    ``agreement`` of all branches would vote for it now, the finished ones by their answers, the
    running ones by their last probes. A probe's answer also stands in for a forced one, so that at
    the call time only branches without a recent probe are stopped and forced. With ``prune``, a
    branch whose probes keep disagreeing with the consensus (the leader of the finished votes and
    of the last probes of running branches together) is cut; it still counts among the votes to
    come, since cutting dissenters must not make the leader win any sooner.

    ``dynasor`` (arXiv 2412.20993): a branch whose last ``patience`` probes agree is certain. Its
    answer is a vote like a finished one, and it is stopped. (The original also wants no word of
    doubt in the probes' texts, which a strategy does not see.)

    ``parallel_probe`` (arXiv 2602.03845): the last probes of running branches vote like finished
    ones, the race is called once the consensus has been the same for ``stable`` rounds of probes,
    and branches that disagree with it are cut, uncounted.

    Args:
        branches: branches to launch.
        mode: see above.
        every: tokens between two probes of a branch (Parallel-Probe: 500; Dynasor: 32 to 64).
        patience: probes that must agree for a branch to be certain (Dynasor: 2 to 8).
        warmup: probes of a branch before it may be cut for disagreeing (Parallel-Probe: 15).
        deviation: successive probes that disagree with the consensus and cut a branch
            (Parallel-Probe: 7). A probe without an answer says nothing either way.
        stable: rounds for which the consensus must not change (Parallel-Probe: 40). A round ends
            when the first branch is due for its next probe: nobody waits for the others.
        prune: whether branches are cut for disagreeing.
        stop: rule on the votes: ``flip_risk``, ``clinch`` or ``none``. Not of ``parallel_probe``.
        min_votes: votes needed before flip risk may stop the race.
        agreement: share in [0, 1] of all votes that confirms the leader; 1 lets nothing be
            confirmed. Of ``safe`` with stop ``flip_risk``.
        max_flip_risk: probability in [0, 1) of a changed leader that is still acceptable.
        force_answers: whether branches without an answer are forced to give one at the call time,
            if no answer leads by then.
        likelihoods: whether the engine is asked for the tokens' log probabilities. Nothing here
            rests on them; a trace of the race holds them, for replays of ``weight=likelihood``.

    Raises:
        ValueError: for parameters out of range.
    """

    branches: int = 16
    mode: Mode = "safe"
    every: int = 500
    patience: int = 3
    warmup: int = 15
    deviation: int = 7
    stable: int = 40
    prune: bool = True
    stop: Literal["flip_risk", "clinch", "none"] = "flip_risk"
    min_votes: int = 2
    max_flip_risk: float = 0.2
    agreement: float = 0.5
    force_answers: bool = True
    likelihoods: bool = False
    _closing: Closing = field(init=False, repr=False)
    _asked: dict[int, int] = field(default_factory=dict[int, int], init=False, repr=False)
    """Last checkpoint, in multiples of ``every`` tokens, at which a branch was probed."""
    _frontier: int = field(default=0, init=False, repr=False)  # farthest of these
    _consensus: str | None = field(default=None, init=False, repr=False)
    _unchanged: int = field(default=0, init=False, repr=False)  # rounds of that consensus
    _deviates: dict[int, int] = field(default_factory=dict[int, int], init=False, repr=False)
    _certain: dict[int, str] = field(default_factory=dict[int, str], init=False, repr=False)
    _cut: set[int] = field(default_factory=set[int], init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("branches", "every", "patience", "warmup", "deviation", "stable", "min_votes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.mode not in ("safe", "dynasor", "parallel_probe"):
            raise ValueError("mode must be one of safe, dynasor, parallel_probe")
        if self.stop not in ("flip_risk", "clinch", "none"):
            raise ValueError("stop must be one of flip_risk, clinch, none")
        if not 0.0 <= self.max_flip_risk < 1.0:
            raise ValueError("max_flip_risk must lie in [0, 1)")
        if not 0.0 <= self.agreement <= 1.0:
            raise ValueError("agreement must lie in [0, 1]")
        self._closing = Closing(self.force_answers)

    @property
    def needs(self) -> Needs:
        return Needs(progress=True, likelihoods=self.likelihoods)

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        match observation:
            case CallTimeReached():
                return self._at_call_time(view)
            case BranchProgressed(branch):
                return self._progressed(view.branches[branch], view)
            case BranchProbed(branch):
                cut = self._probed(view.branches[branch], view)
                if not cut and not (self._confirms and view.arrivals):
                    return []
                return [*cut, *self._settle(view)]
            case BranchFinished() | BranchForced() | BranchFailed():
                return self._settle(view)
            case BranchLimitLowered(share):
                return shed_branches(view, share)
            case _:
                return []

    def conclude(self, view: RaceView) -> Decide:
        return self._decide(view, StopReason.DEADLINE)

    # ── probes ────────────────────────────────────────────────────────────────────────────────

    def _progressed(self, branch: BranchView, view: RaceView) -> Sequence[Command]:
        checkpoint = branch.tokens // self.every
        if (
            checkpoint <= self._asked.get(branch.index, 0)
            or branch.status is not BranchStatus.RUNNING
            or self._closing.called
        ):
            return []
        self._asked[branch.index] = checkpoint
        if checkpoint > self._frontier:
            self._frontier = checkpoint
            if self.mode == "parallel_probe" and self._end_round(view):
                return [self._decide(view, StopReason.CONFIDENT_MAJORITY)]
        return [Probe((branch.index,))]

    def _end_round(self, view: RaceView) -> bool:
        """Whether the consensus has held for long enough."""
        consensus = self._poll(view).leader
        self._unchanged = self._unchanged + 1 if consensus == self._consensus else 1
        self._consensus = consensus
        return consensus is not None and self._unchanged >= self.stable

    def _probed(self, branch: BranchView, view: RaceView) -> list[Command]:
        """Cut a branch for what it answered, if need be."""
        index = branch.index
        if branch.status is not BranchStatus.RUNNING or self._closing.called:
            return []
        if self.mode == "dynasor":
            last = [p.answer for p in branch.probes[-self.patience :]]
            if len(last) < self.patience or last[0] is None or len(set(last)) > 1:
                return []
            self._certain[index] = last[0]
            return [Cancel((index,), "certain of its answer")]
        answer = branch.probes[-1].answer
        if answer is not None:
            agrees = answer == self._poll(view).leader
            self._deviates[index] = 0 if agrees else self._deviates.get(index, 0) + 1
        alone = over(view, (index,)) and not self._votes(view).finished
        if (
            self.prune
            and not alone
            and len(branch.probes) >= self.warmup
            and self._deviates.get(index, 0) >= self.deviation
        ):
            self._cut.add(index)
            return [Cancel((index,), "disagrees with the consensus")]
        return []

    def _answer_now(self, branch: BranchView) -> str | None:
        """What an active branch would answer, by its last probe."""
        gone = branch.index in self._cut or branch.index in self._certain
        if gone or not branch.status.active or not branch.probes:
            return None
        return branch.probes[-1].answer

    def _recent(self, branch: BranchView) -> bool:
        """Whether its last probe may stand in for a forced answer."""
        return (
            branch.status is BranchStatus.RUNNING
            and self._answer_now(branch) is not None
            and branch.tokens - branch.probes[-1].tokens <= self.every
        )

    @property
    def _confirms(self) -> bool:
        """Whether probes may confirm the leader of the finished votes."""
        return self.mode == "safe" and self.stop == "flip_risk" and self.agreement < 1.0

    def _confirmed(self, view: RaceView, votes: Tally[int], to_come: int) -> bool:
        """Whether the leader of ``votes`` would win by enough if all ``to_come`` voted now."""
        leader, _ = votes.lead()
        agreeing = sum(self._answer_now(b) == votes.leader for b in view.branches.values())
        return leader + agreeing > self.agreement * (votes.total + to_come)

    # ── votes ─────────────────────────────────────────────────────────────────────────────────

    def _votes(self, view: RaceView) -> Tally[int]:
        """Finished and forced votes, with what this mode makes of the probes."""
        finished, forced = self._came(view)
        silent = len(replies(view))
        now = [a for b in view.branches.values() if (a := self._answer_now(b)) is not None]
        if self.mode == "parallel_probe":
            return count([*finished, *now], forced, silent)
        return count([*finished, *self._certain.values()], [*forced, *now], silent)

    def _poll(self, view: RaceView) -> Tally[int]:
        """Finished votes and the last probes of running branches, alike."""
        finished, _ = self._came(view)
        now = (self._answer_now(b) for b in view.branches.values())
        return count([*finished, *(a for a in now if a is not None)])

    def _came(self, view: RaceView) -> tuple[list[str], list[str]]:
        finished: list[str] = []
        forced: list[str] = []
        for index in view.arrivals:
            branch = view.branches[index]
            if branch.answer is not None:
                done = branch.status is BranchStatus.FINISHED
                (finished if done else forced).append(branch.answer)
        return finished, forced

    # ── the end ───────────────────────────────────────────────────────────────────────────────

    def _at_call_time(self, view: RaceView) -> Sequence[Command]:
        leader, runner_up = self._votes(view).lead()
        commands = self._closing.at_call_time(view, settled=leader > runner_up)
        chosen = tuple(
            i
            for command in commands
            if isinstance(command, Force)
            for i in command.branches
            if not self._recent(view.branches[i])
        )
        return [Force(chosen)] if chosen else []

    def _settle(self, view: RaceView) -> Sequence[Command]:
        gone = self._cut | self._certain.keys()
        votes = self._votes(view)
        if over(view, gone):
            return self._closing.when_over(
                view,
                lambda reason: self._decide(view, reason),
                answered=votes.leader is not None,
            )
        running = [
            b.tokens
            for b in view.branches.values()
            if b.status is BranchStatus.RUNNING and b.index not in gone
        ]
        if self.mode == "parallel_probe" or self.stop == "none" or not running:
            return []
        leader, runner_up = votes.lead()
        to_come = len(running) + len(self._cut)
        if clinched(leader, runner_up, to_come):
            return [self._decide(view, StopReason.CLINCHED)]
        if self._confirms and leader > runner_up and self._confirmed(view, votes, to_come):
            return [self._decide(view, StopReason.CONFIDENT_MAJORITY)]
        expected = expected_arrivals(running, view.reachable_tokens, view.lengths) + len(self._cut)
        if (
            self.stop == "flip_risk"
            and votes.total >= self.min_votes
            and leader > runner_up
            and flip_risk(leader, runner_up, expected) <= self.max_flip_risk
        ):
            return [self._decide(view, StopReason.CONFIDENT_MAJORITY)]
        return []

    def _decide(self, view: RaceView, reason: StopReason) -> Decide:
        votes = self._votes(view)
        answer = votes.leader
        confidence = preference(*votes.deciding()) if answer is not None else 0.0
        return decide_for(view, answer, self._shown(view, answer), reason, confidence)

    def _shown(self, view: RaceView, answer: str | None) -> int | None:
        """The branch that arrived with the answer, else one that was certain of it, else one that
        would give it now."""
        shown = supporter(view, answer)
        if shown is not None or answer is None:
            return shown
        certain = [i for i, given in self._certain.items() if given == answer]
        now = [i for i, b in view.branches.items() if self._answer_now(b) == answer]
        return next(iter([*certain, *now]), None)
