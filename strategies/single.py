"""One branch: the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .closing import Closing, decide_by_votes, over
from .protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    CallTimeReached,
    Command,
    Decide,
    Launch,
    Observation,
    RaceView,
    StopReason,
)


@dataclass(slots=True)
class Single:
    """One branch, and its answer: forced at the call time if it has not ended by then.

    Args:
        branches: taken, because every strategy is told how many a race may run, and checked; one
            is launched, whatever it says.
        force_answers: whether the branch is forced to answer at the call time.

    Raises:
        ValueError: for less than one branch.
    """

    branches: int = 1
    force_answers: bool = True
    _closing: Closing = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.branches < 1:
            raise ValueError("branches must be at least 1")
        self._closing = Closing(self.force_answers)

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(1)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        match observation:
            case CallTimeReached():
                return self._closing.at_call_time(view, settled=False)
            case BranchFinished() | BranchForced() | BranchFailed() if over(view):
                return self._closing.when_over(view, lambda reason: decide_by_votes(view, reason))
            case _:
                return []

    def conclude(self, view: RaceView) -> Decide:
        return decide_by_votes(view, StopReason.DEADLINE)
