"""DeepConf online: branches that grow unsure are cut, and votes weigh what their branch was sure.

Fu et al., *Deep Think with Confidence* (arXiv 2508.15260). Warm-up branches run to their end. The
bar is the (100 - eta)-th percentile of their lowest group confidence (``group_confidence``); a
later branch is cut as soon as its group confidence falls below the bar, and warm-up branches below
it have no vote. The others vote with their lowest group confidence as the weight.

Published defaults: 16 warm-up branches of 256 to 512, groups of 2048 tokens, top-20 log
probabilities, eta = 10 ("low", cuts nine in ten) or 90 ("high"), consensus 0.95 (in the paper; the
released code has none).

How it is adapted to a race:

- The default is faithful: the rest is launched when the warm-up is over. That is twice the
  latency of a branch at least, and with no more branches than the warm-up takes, none is ever
  cut: choose a small ``warmup``, or ``at_once``, where time is short. ``at_once`` launches all
  together; the first ``warmup`` of them set the bar when they have ended, and those that have
  fallen below it by then are cut then.
- ``eta`` is 90 by default. At 10, two of 16 warm-up branches would be all that votes.
- A race that is called early counts what has finished; if no vote is above the bar, all count.
- The cut is taken from streamed confidences, so it needs no logits processor, which vLLM refuses
  where it speculates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .closing import Closing, decide_by_votes, over
from .group_confidence import GroupConfidence, percentile
from .protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchProgressed,
    BranchStatus,
    BranchView,
    CallTimeReached,
    Cancel,
    Command,
    Decide,
    Launch,
    Needs,
    Observation,
    RaceView,
    StopReason,
)
from .standing import Standing, weighed_standing
from .weights import Weighed, voters, weigh


@dataclass(slots=True)
class Confidence:
    """DeepConf online. The engine must give log probabilities (``needs.logprobs``).

    Args:
        branches: branches in all.
        warmup: how many of them set the bar and are never cut.
        at_once: whether the rest is launched together with the warm-up.
        eta: per cent in (0, 100] of the warm-up branches that are above the bar.
        group: tokens a group.
        logprobs: k of the top-k log probabilities.
        consensus: share of the weight, in (0.5, 1], that stops the race once the warm-up is over.
        min_votes: votes needed before that, or a lead too large for those to come, stops the race.
        force_answers: whether branches without an answer are forced to give one at the call time,
            if no answer leads by then.

    Raises:
        ValueError: for parameters out of range.
    """

    branches: int = 16
    warmup: int = 16
    at_once: bool = False
    eta: float = 90.0
    group: int = 2048
    logprobs: int = 20
    consensus: float = 0.95
    min_votes: int = 3
    force_answers: bool = True
    _closing: Closing = field(init=False, repr=False, compare=False)
    _groups: dict[int, GroupConfidence] = field(
        init=False, repr=False, compare=False, default_factory=dict[int, GroupConfidence]
    )
    _warm: bool = field(init=False, repr=False, compare=False, default=False)
    _bar: float | None = field(init=False, repr=False, compare=False, default=None)
    _spared: frozenset[int] = field(init=False, repr=False, compare=False, default=frozenset())
    _to_launch: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        for name in ("branches", "warmup", "group", "logprobs", "min_votes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if not 0.0 < self.eta <= 100.0:
            raise ValueError("eta must lie in (0, 100]")
        if not 0.5 < self.consensus <= 1.0:
            raise ValueError("consensus must lie in (0.5, 1]")
        self._closing = Closing(self.force_answers)

    @property
    def needs(self) -> Needs:
        return Needs(progress=True, logprobs=self.logprobs)

    def start(self, view: RaceView) -> Sequence[Command]:
        first = self.branches if self.at_once else min(self.warmup, self.branches)
        self._to_launch = self.branches - first
        return [Launch(first)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        match observation:
            case BranchProgressed(index):
                self._group(view.branches[index])
                return self._cut(view, (index,))
            case CallTimeReached():
                leader, runner_up = self._votes(view).tally.lead()
                return self._closing.at_call_time(view, settled=leader > runner_up)
            case BranchFinished() | BranchForced() | BranchFailed():
                return self._settle(view)
            case _:
                return []

    def conclude(self, view: RaceView) -> Decide:
        return self._decide(view, StopReason.DEADLINE)

    def standing(self, view: RaceView) -> Standing:
        return weighed_standing(self._votes(view).tally)

    # ── the course of the race ────────────────────────────────────────────────────────────────

    def _settle(self, view: RaceView) -> Sequence[Command]:
        if not self._warm:
            first = [view.branches[i] for i in list(view.branches)[: self.warmup]]
            if any(b.status.active for b in first):
                return []
            self._warm, self._spared = True, frozenset(b.index for b in first)
            self._bar = self._find_bar(first)
        votes = self._votes(view)
        running = sum(b.status is BranchStatus.RUNNING for b in view.branches.values())
        to_come = running + (0 if self._closing.called else self._to_launch)
        if to_come and self._agreed(votes, to_come):
            return [self._decide(view, StopReason.CONFIDENT_MAJORITY)]
        if self._to_launch and not self._closing.called:
            count, self._to_launch = self._to_launch, 0
            return [Launch(count)]
        cut = self._cut(view, tuple(view.branches))
        if cut or not over(view):
            return cut
        return self._end(view)

    def _cut(self, view: RaceView, candidates: Sequence[int]) -> list[Command]:
        """Cancel those that have fallen below the bar, and end the race if none is left. Not after
        the call time: there is nothing left to save, and their answers may still be needed."""
        bar = self._bar
        if bar is None or self._closing.called:
            return []
        losers = tuple(
            i
            for i in candidates
            if i not in self._spared
            and view.branches[i].status is BranchStatus.RUNNING
            and (lowest := self._group(view.branches[i]).lowest) is not None
            and lowest < bar
        )
        if not losers:
            return []
        cancel = Cancel(losers, "confidence fell below that of the warm-up")
        return [cancel, *(self._end(view) if over(view, losers) else [])]

    def _end(self, view: RaceView) -> list[Command]:
        return self._closing.when_over(view, lambda reason: self._decide(view, reason))

    def _find_bar(self, warmup: Sequence[BranchView]) -> float | None:
        ended = [b for b in warmup if b.status is BranchStatus.FINISHED]
        scores = [s for b in ended if (s := self._group(b).score) is not None]
        return percentile(scores, 100.0 - self.eta) if scores else None

    # ── the vote ──────────────────────────────────────────────────────────────────────────────

    def _votes(self, view: RaceView) -> Weighed:
        voting = voters(view)
        above = [i for i in voting if self._is_above(view.branches[i])]
        return weigh(view, above or voting, lambda b: self._group(b).score)

    def _is_above(self, branch: BranchView) -> bool:
        score = self._group(branch).score
        return self._bar is None or score is None or score >= self._bar

    def _agreed(self, votes: Weighed, to_come: int) -> bool:
        """Whether one answer has the share of the weight that counts as consensus, or a lead that
        votes no heavier than those so far could not make up for."""
        leader, runner_up = votes.tally.lead()
        if leader <= runner_up or votes.count < self.min_votes:
            return False
        return leader >= self.consensus * votes.tally.total or votes.lead > votes.most(to_come)

    def _decide(self, view: RaceView, reason: StopReason) -> Decide:
        return decide_by_votes(view, reason, self._votes(view).tally)

    def _group(self, branch: BranchView) -> GroupConfidence:
        """The branch's group confidence, up to date."""
        group = self._groups.get(branch.index)
        if group is None:
            group = self._groups[branch.index] = GroupConfidence(self.group)
        group.take(branch.confidences)
        return group
