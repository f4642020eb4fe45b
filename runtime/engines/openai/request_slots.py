"""A number of requests that may run at once, begun by priority: a queue that can be seen."""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

import anyio


@dataclass(order=True, slots=True)
class _Turn:
    """Somebody who waits for a slot."""

    priority: int
    number: int
    given: anyio.Event = field(compare=False, default_factory=anyio.Event)
    gone: bool = field(compare=False, default=False)


class RequestSlots:
    """``limit`` slots; who waits gets the next by priority (lower first), then by arrival."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._turns: list[_Turn] = []
        self._numbers = count()

    @property
    def taken(self) -> int:
        return self._limit - self._free

    @property
    def waiting(self) -> int:
        return sum(not turn.gone for turn in self._turns)

    async def acquire(self, priority: int) -> None:
        """Take a slot, after a wait if there is none; give it back with ``release``.

        Cancelling it gives it back, if there was one.
        """
        if self._free:
            self._free -= 1
            return
        turn = _Turn(priority, next(self._numbers))
        heappush(self._turns, turn)
        taken = False
        try:
            await turn.given.wait()
            taken = True
        finally:
            if not taken:
                turn.gone = True
                if turn.given.is_set():
                    self.release()

    def release(self) -> None:
        """Give a slot back: the next one in turn has it at once."""
        while self._turns:
            turn = heappop(self._turns)
            if not turn.gone:
                turn.given.set()
                return
        self._free += 1
