"""What else is called at about the same moment.

Where many races have one deadline, all of them are called at one moment, and the event loop needs
some time for each: to ask for its forced answers, to take them in, to vote, to hand the result
back. Each race by itself has time enough; together they would be late by as much as they wait for
one another. So each is called earlier, by what those around it need.
"""

from collections import defaultdict
from math import isfinite
from typing import Final

#: Microseconds of the event loop that a race takes from its call to its result, and each of its
#: branches beside: whole numbers, which add up to nothing again. Chosen so that none is late of a
#: hundred races with one deadline (`tests/benchmarks/cpu_per_token.py timed`).
_RACE, _BRANCH = 1000, 130
#: Deadlines that are no further apart (seconds) count as one moment.
_MOMENT: Final = 0.05
#: What others may take of a race's time at most.
_MOST: Final = 0.25


class CallCrowd:
    """Adds up what races need, by the moment of their deadline (anyio clock, seconds); one for all
    of an event loop."""

    def __init__(self) -> None:
        self._needed: defaultdict[int, int] = defaultdict(int)  # microseconds

    def enter(self, deadline: float, branches: int) -> None:
        """A race of so many branches runs until ``deadline``."""
        if isfinite(deadline):
            self._needed[_moment(deadline)] += _of_race(branches)

    def leave(self, deadline: float, branches: int) -> None:
        """It does no more: the opposite of ``enter``."""
        if isfinite(deadline):
            moment = _moment(deadline)
            self._needed[moment] -= _of_race(branches)
            if not self._needed[moment]:
                del self._needed[moment]

    def seconds(self, deadline: float, branches: int, limit: float) -> float:
        """How much earlier a race, which was entered, must be called for what others need at its
        deadline and just before.

        Args:
            limit: its whole time, in seconds.
        """
        if not isfinite(deadline):
            return 0.0
        moment, needed = _moment(deadline), self._needed.get
        others = needed(moment, 0) + needed(moment - 1, 0) - _of_race(branches)
        return min(max(0, others) / 1e6, _MOST * limit)


def _of_race(branches: int) -> int:
    return _RACE + _BRANCH * branches


def _moment(deadline: float) -> int:
    return int(deadline / _MOMENT)
