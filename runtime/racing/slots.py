"""The engine's places that a race occupies.

A place is the right to run one request. What counts for a race:

- A branch holds one place from its launch to its end; being forced to answer, it keeps it.
- A branch that was cut holds it until the engine has been told. A fork launched meanwhile takes its
  place over, so that for an event-loop turn the engine may hear of both.
- A request beside a branch (a probe, a forced answer of a branch that runs on) holds one of its
  own, which the race gets only while nobody waits for it; without one it is not made.
- What a reward model runs on the main engine (one token each) is not counted.

What a race does not use it gives back at once, and may ask for again: it gets it while it is free
and nobody waits for it.
"""

from dataclasses import dataclass
from typing import Protocol


class Places(Protocol):
    """What a race may occupy. It begins with as many places as it was granted branches."""

    def ask(self, total: int) -> int:
        """Ask for ``total`` places in all; returns how many the race holds now, which may be
        fewer, and never fewer than before."""
        ...

    def keep(self, total: int) -> None:
        """Give back all but ``total`` places; fewer are held already: nothing happens."""
        ...


class NoLimit:
    """The places of a race that has the engine to itself."""

    def ask(self, total: int) -> int:
        return total

    def keep(self, total: int) -> None: ...


@dataclass(slots=True)
class Occupancy:
    """How many places a race occupies, and so how many more requests it may make.

    Args:
        places: what it may occupy.
        granted: branches that it may run at a time.
        leaving: branches that were cut and that the engine has not been told of yet.
        beside: requests beside branches.
    """

    places: Places
    granted: int
    leaving: int = 0
    beside: int = 0

    def room(self, active: int, more: int) -> int:
        """Of ``more`` branches beyond the ``active`` ones, how many may run now."""
        held = self.places.ask(self._needed(active + more))
        return max(0, min(more, self.granted - active, held - self.beside - active))

    def room_beside(self, active: int, more: int) -> int:
        """Of ``more`` requests beside the ``active`` branches, how many may run now."""
        needed = self._needed(active)
        return max(0, min(more, self.places.ask(needed + more) - needed))

    def settle(self, active: int) -> None:
        """Give back what ``active`` branches do not need."""
        self.places.keep(self._needed(active))

    def _needed(self, branches: int) -> int:
        # Launching takes over the places of those that leave.
        return self.beside + min(self.granted, branches + self.leaving)
