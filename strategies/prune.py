"""Speculative rejection: the worst partial texts are cut on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .checks import at_least_one
from .protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchProgressed,
    BranchScored,
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
from .scores import Pick, Scores, check_pick
from .standing import Standing


@dataclass(slots=True)
class Prune:
    """Speculative rejection (arXiv 2410.20290), at token counts instead of a full memory.

    Whenever half of the running branches have passed the next checkpoint, those that have are
    scored as they stand, in one batch, and nobody waits for it. Once the scores are there, the
    worst ``fraction`` of them and of the finished ones, ranked together, is cut: running ones are
    cancelled, finished ones take no part in later rankings, but stay candidates. A branch that
    passes a checkpoint later is judged by itself, in a ranking with those judged there before it.
    A branch whose score failed is not judged.

    Args:
        branches: branches to launch.
        every: tokens from one checkpoint to the next.
        fraction: share in [0, 1) that is cut at each checkpoint (alpha in the paper, 0.5).
        keep: branches, running or finished with an answer, that are left at least.
        pick: the answer of the best final score, or the one with the largest sum of them (each
            clipped to [0, 1]).
        force_answers: whether branches without an answer are forced to give one at the call time,
            if no finished answer leads by then.

    The decision's confidence is its best score, clipped to [0, 1], or its share of the sum.

    Raises:
        ValueError: for parameters out of range.
    """

    branches: int = 16
    every: int = 256
    fraction: float = 0.5
    keep: int = 1
    pick: Pick = "score"
    force_answers: bool = True
    _scores: Scores = field(init=False, repr=False)
    _next: int = field(default=1, init=False, repr=False)  # checkpoint that the race goes to
    _judging: dict[int, int] = field(default_factory=dict[int, int], init=False, repr=False)
    """Checkpoint at which a branch is being scored."""
    _passed: dict[int, int] = field(default_factory=dict[int, int], init=False, repr=False)
    """Last checkpoint at which a branch was scored."""
    _known: dict[int, dict[int, float]] = field(
        default_factory=dict[int, dict[int, float]], init=False, repr=False
    )
    """By checkpoint: the scores of the branches judged there."""
    _fresh: dict[int, set[int]] = field(default_factory=dict[int, set[int]], init=False, repr=False)
    """By checkpoint: branches scored there and not judged yet."""
    _dropped: set[int] = field(default_factory=set[int], init=False, repr=False)

    def __post_init__(self) -> None:
        at_least_one(branches=self.branches, every=self.every, keep=self.keep)
        if not 0.0 <= self.fraction < 1.0:
            raise ValueError("fraction must lie in [0, 1)")
        check_pick(self.pick)
        self._scores = Scores(self.pick, self.force_answers)

    @property
    def needs(self) -> Needs:
        return Needs(rewards=True, progress=True)

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        match observation:
            case CallTimeReached():
                return self._scores.at_call_time(view)
            case BranchProgressed(branch):
                if self._scores.called or self._checkpoint(
                    view.branches[branch]
                ) <= self._passed.get(branch, 0):
                    return []
                return self._score_passed(view)
            case BranchFinished(branch):
                commands = self._scores.ended(view.branches[branch])
            case BranchScored(branch):
                commands = self._hear(view.branches[branch])
            case BranchForced() | BranchFailed():
                commands = []
            case _:
                return []
        cut = self._judge(view)
        if cut:
            commands = [*commands, Cancel(cut, "low score")]
        return [*commands, *self._scores.when_over(view, cut)]

    def conclude(self, view: RaceView) -> Decide:
        return self._scores.decide(view, StopReason.DEADLINE)

    def standing(self, view: RaceView) -> Standing:
        return self._scores.standing(view)

    def _checkpoint(self, branch: BranchView) -> int:
        """How many checkpoints a branch has passed."""
        return branch.tokens // self.every

    def _beyond(self, running: Sequence[BranchView]) -> int:
        """How many have passed the checkpoint that the race goes to."""
        return sum(self._checkpoint(b) >= self._next for b in running)

    def _score_passed(self, view: RaceView) -> list[Command]:
        """Score those that have passed a checkpoint at which the race is, or was."""
        running = [b for b in view.branches.values() if b.status is BranchStatus.RUNNING]
        while running and 2 * self._beyond(running) >= len(running):
            self._next += 1
        due: list[int] = []
        for branch in running:
            at = min(self._checkpoint(branch), self._next - 1)
            if at > self._passed.get(branch.index, 0) and not self._scores.asking(branch.index):
                self._passed[branch.index] = self._judging[branch.index] = at
                due.append(branch.index)
        return self._scores.ask(*due)

    def _hear(self, branch: BranchView) -> list[Command]:
        at = self._judging.pop(branch.index, None)
        if at is not None and branch.score is not None:
            self._known.setdefault(at, {})[branch.index] = branch.score
            self._fresh.setdefault(at, set()).add(branch.index)
        return self._scores.heard(branch)

    def _judge(self, view: RaceView) -> tuple[int, ...]:
        """The running branches to cut, at every checkpoint whose scores are in."""
        if self._scores.called:
            return ()
        awaited = self._awaited(view)
        cut: dict[int, float] = {}
        for at, fresh in self._fresh.items():
            if not fresh or at in awaited:
                continue
            finished = self._finished(view)
            pool = {**self._known[at], **finished}
            ranked = sorted(pool, key=pool.__getitem__)
            worst = ranked[: int(self.fraction * len(pool))]
            self._dropped.update(i for i in worst if i in finished)
            for i in worst:
                if i in fresh and view.branches[i].status is BranchStatus.RUNNING:
                    cut[i] = pool[i]
            fresh.clear()
        alive = sum(
            b.status.active or (b.status is BranchStatus.FINISHED and b.answer is not None)
            for b in view.branches.values()
        )
        # Where too few others are left, the best of those to be cut stay.
        return tuple(sorted(cut, key=cut.__getitem__)[: max(0, alive - self.keep)])

    def _awaited(self, view: RaceView) -> set[int]:
        """Checkpoints for which a score of a running branch is still to come."""
        return {
            at for i, at in self._judging.items() if view.branches[i].status is BranchStatus.RUNNING
        }

    def _finished(self, view: RaceView) -> dict[int, float]:
        """Final scores of the finished branches that were not ranked among the worst before."""
        return {
            b.index: score
            for b in view.branches.values()
            if b.index not in self._dropped and (score := self._scores.final(b)) is not None
        }
