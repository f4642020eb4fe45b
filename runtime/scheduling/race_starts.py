"""Races that begin in one moment do so one after another.

To begin a race takes as long as many other things together. Hundreds that are asked for at once
would all begin in a few turns of the event loop, and whatever is due meanwhile, of these as well as
of others, would have to wait for all of them. So a turn lets few of them begin, those with the
earliest deadlines first, and what is due comes in between. Those that have been decided go before:
from the decision to the caller it takes some turns, which are short while no race begins.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf

from ..common.loop_clock import loop_time, next_turn
from ..common.timed_event import TimedEvent
from ..errors import MAX_DEADLINE, Overloaded

#: Seconds in which races begin as they come, in one turn of the event loop.
_AT_ONCE = 0.002
#: In a turn that took so many times this long (seconds), one more of those that wait begins in the
#: next: a loop that is busy with other things has fewer turns.
_TURN_EACH = 0.004
#: Seconds for which races that end keep others from beginning, at most: where some always do, the
#: others begin all the same.
_HELD = 0.01
#: Seconds that a race may wait without being asked whether enough are left.
_LONG = 0.005
#: Nobody is told to come back sooner (seconds).
_SOONEST = 0.1


@dataclass(slots=True, eq=False)
class _Place:
    """A race that waits for its turn."""

    deadline: float
    arrival: int
    name: str | None
    turn: TimedEvent = field(default_factory=TimedEvent)

    def __lt__(self, other: "_Place") -> bool:
        return (self.deadline, self.arrival) < (other.deadline, other.arrival)


class RaceStarts:
    """Whose turn it is to begin; one for a runtime, in one event loop."""

    def __init__(self, clock: Callable[[], float] = loop_time) -> None:
        self._clock = clock
        self._waiting: list[_Place] = []  # a heap
        self._arrivals = 0
        self._turn_began: float | None = None  # in which races begin; None: in none of late
        self._let_in = 0.0  # when one that waited began
        self._ending: set[str] = set()  # names of races that are decided and have not returned

    async def wait(
        self, seconds: float, name: str | None, least: Callable[[], float]
    ) -> tuple[float, float | None]:
        """Wait until a race that is asked for now may begin.

        Args:
            seconds: its deadline. One that nobody could keep waits for nothing: it is refused.
            name: for ``shorten_deadline``.
            least: the seconds that a race needs.

        Returns:
            When it was asked for, and its deadline, if that was brought forward meanwhile (anyio
            clock, seconds).

        Raises:
            Overloaded: by now too little is left of its time.
        """
        asked = loop_time()
        if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_DEADLINE:
            return asked, None
        deadline = await self.take_turn(asked + seconds, name)
        if (waited := loop_time() - asked) > _LONG and seconds - waited < least() <= seconds:
            raise Overloaded("too many races begin at once", max(_SOONEST, waited))
        return asked, deadline if deadline < asked + seconds else None

    async def take_turn(self, deadline: float, name: str | None = None) -> float:
        """Wait until a race with this deadline (anyio clock, seconds) may begin: those with earlier
        ones go first. Cancelling it leaves nothing behind.

        Args:
            name: for ``shorten_deadline``.

        Returns:
            The deadline, which may have been brought forward meanwhile.
        """
        if self._begins_now():
            return deadline
        self._arrivals += 1
        place = _Place(deadline, self._arrivals, name)
        heappush(self._waiting, place)
        try:
            await place.turn.wait_until(inf)
        finally:
            if not place.turn.is_set:
                self._waiting.remove(place)
                heapify(self._waiting)
        return place.deadline

    def shorten_deadline(self, name: str, deadline: float) -> None:
        """Bring forward the deadline (anyio clock, seconds) of a race that waits, if there is one
        of that name."""
        for place in self._waiting:
            if place.name == name:
                place.deadline = min(place.deadline, deadline)
        heapify(self._waiting)

    def ends(self, name: str) -> None:
        """The race of this name was decided: those that wait let it return first."""
        self._ending.add(name)

    def ended(self, name: str) -> None:
        """The race of this name is over, decided or not."""
        self._ending.discard(name)

    def _begins_now(self) -> bool:
        now = self._clock()
        if self._turn_began is None:
            self._turn_began = now
            next_turn(self._go_on)
            return True
        return not self._waiting and now - self._turn_began < _AT_ONCE

    def _go_on(self) -> None:
        """The next turn has begun."""
        began, self._turn_began = self._turn_began, None
        if began is None or not self._waiting:
            return
        self._turn_began = now = self._clock()
        next_turn(self._go_on)
        if self._ending and now - self._let_in < _HELD:
            return
        self._let_in = now
        for _ in range(1 + int((now - began) / _TURN_EACH)):
            if self._waiting:
                heappop(self._waiting).turn.set()
