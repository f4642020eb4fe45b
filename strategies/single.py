"""One branch: the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .checks import at_least_one
from .first_to_m import FirstToM
from .protocol import Command, Decide, Observation, RaceView


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
    _first: FirstToM = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least_one(branches=self.branches)
        # A second answer cannot come, so the race ends because its only branch has ended.
        self._first = FirstToM(branches=1, m=2, force_answers=self.force_answers)

    def start(self, view: RaceView) -> Sequence[Command]:
        return self._first.start(view)

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        return self._first.observe(observation, view)

    def conclude(self, view: RaceView) -> Decide:
        return self._first.conclude(view)
