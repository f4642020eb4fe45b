"""Best of n by reward, stopped at a threshold."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Literal

from .branch_limit import shed_branches
from .checks import at_least_one
from .lengths import LengthModel
from .optimal_stopping import any_threshold, normal_threshold, wait_per_arrival
from .protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchLimitLowered,
    BranchProgressed,
    BranchScored,
    BranchStatus,
    CallTimeReached,
    Command,
    Decide,
    Launch,
    Needs,
    Observation,
    RaceView,
    StopReason,
)
from .scores import Pick, Scores, check_pick
from .standing import Standing

#: How much longer the longest branch gets before waiting is priced anew.
_PRICED_ANEW = 1.05


@dataclass(slots=True)
class BestOfN:
    """Scores each branch as it finishes and takes the best.

    Args:
        branches: branches to launch.
        rule: ``threshold`` stops as soon as a finished branch's score reaches ``threshold``;
            ``pandora`` as soon as the best score reaches the fair cap of one more score at the
            price of waiting for it (arXiv 2510.01394, see ``optimal_stopping``), for scores in
            [0, 1].
        threshold: a score; None waits for all, which is plain best-of-n. Of rule ``threshold``.
        price: what waiting costs, in score per 1000 tokens that each running branch generates
            meanwhile. Of rule ``pandora``.
        belief: what ``pandora`` takes the next score for: ``normal``, or bounded by what holds for
            ``any`` distribution, which is more patient.
        min_scores: final scores needed before ``pandora`` may stop.
        pick: the answer of the best score, or the one with the largest sum of scores (each clipped
            to [0, 1]).
        force_answers: whether branches without an answer are forced to give one at the call time,
            if no finished answer leads by then.

    The decision's confidence is its best score, clipped to [0, 1], or its share of the sum.

    Raises:
        ValueError: for parameters out of range.
    """

    branches: int = 16
    rule: Literal["threshold", "pandora"] = "threshold"
    threshold: float | None = None
    price: float = 0.1
    belief: Literal["normal", "any"] = "normal"
    min_scores: int = 2
    pick: Pick = "score"
    force_answers: bool = True
    _scores: Scores = field(init=False, repr=False)
    _priced_at: float = field(default=0.0, init=False, repr=False)  # tokens of the longest branch

    def __post_init__(self) -> None:
        at_least_one(branches=self.branches, min_scores=self.min_scores)
        if self.rule not in ("threshold", "pandora"):
            raise ValueError("rule must be one of threshold, pandora")
        if self.threshold is not None and self.rule != "threshold":
            raise ValueError("threshold goes with rule='threshold' only")
        if self.threshold is not None and isnan(self.threshold):
            raise ValueError("threshold must be a number")
        if not 0.0 <= self.price < inf:
            raise ValueError("price must be at least 0")
        if self.belief not in ("normal", "any"):
            raise ValueError("belief must be one of normal, any")
        check_pick(self.pick)
        self._scores = Scores(self.pick, self.force_answers)

    @property
    def needs(self) -> Needs:
        # The longer a branch gets, the later it is expected: waiting gets dearer on the way.
        return Needs(rewards=True, progress=self.rule == "pandora")

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        commands: list[Command] = []
        match observation:
            case CallTimeReached():
                return self._scores.at_call_time(view)
            case BranchFinished(branch):
                commands = self._scores.ended(view.branches[branch])
            case BranchScored(branch):
                commands = self._scores.heard(view.branches[branch])
            case BranchProgressed(branch):
                tokens = view.branches[branch].tokens
                if self.rule != "pandora" or tokens < self._priced_at * _PRICED_ANEW:
                    return []
                self._priced_at = tokens
            case BranchForced() | BranchFailed():
                pass
            case BranchLimitLowered(share):
                return shed_branches(view, share)
            case _:
                return []
        if self._enough(view):
            return [self._scores.decide(view, StopReason.REWARD_THRESHOLD)]
        return [*commands, *self._scores.when_over(view)]

    def conclude(self, view: RaceView) -> Decide:
        return self._scores.decide(view, StopReason.DEADLINE)

    def standing(self, view: RaceView) -> Standing:
        return self._scores.standing(view)

    def _enough(self, view: RaceView) -> bool:
        final = [self._scores.final(b) for b in view.branches.values()]
        scores = [score for score in final if score is not None]
        if not scores:
            return False
        best = max(scores)
        if self.rule == "threshold":
            return self.threshold is not None and best >= self.threshold
        running = [b.tokens for b in view.branches.values() if b.status is BranchStatus.RUNNING]
        if len(scores) < self.min_scores or not running:
            return False
        cost = self._cost(view, running)
        if self.belief == "normal":
            return best >= normal_threshold(scores, cost)
        return best >= any_threshold(len(scores), cost)

    def _cost(self, view: RaceView, running: Sequence[int]) -> float:
        """The price of one more score."""
        lengths = view.lengths
        if lengths is None:
            ended = [b.tokens for b in view.branches.values() if b.status is BranchStatus.FINISHED]
            cut = [b.tokens for b in view.branches.values() if b.status is BranchStatus.TRUNCATED]
            lengths = LengthModel.fit(ended, [*running, *cut])
        wait = wait_per_arrival(running, view.reachable_tokens, lengths)
        # Where nothing more is to be expected, the wait ends even if waiting is free.
        return wait if wait == inf else self.price * wait / 1000
