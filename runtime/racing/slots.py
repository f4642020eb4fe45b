"""The engine's slots that a race occupies.

A slot is the right to run one request. What counts for a race:

- A branch holds one slot from its launch to its end; being forced to answer, it keeps it.
- A branch that was cut holds it until the engine has been told. A fork launched meanwhile takes its
  slot over, so that for an event-loop turn the engine may hear of both.
- A request beside a branch (a probe, a forced answer of a branch that runs on) holds one of its
  own, which the race gets only while nobody waits for it; without one it is not made.
- What a reward model runs on the main engine (one token each) is not counted.

What a race does not use it gives back at once, and may ask for again: it gets it while it is free
and nobody waits for it.
"""

from dataclasses import dataclass
from typing import Protocol


class Slots(Protocol):
    """What a race may occupy. It begins with as many slots as it was granted branches."""

    def acquire_up_to(self, total: int) -> int:
        """Ask for ``total`` slots in all; returns how many the race holds now, which may be
        fewer, and never fewer than before."""
        ...

    def release_down_to(self, total: int) -> None:
        """Give back all but ``total`` slots; fewer are held already: nothing happens."""
        ...


class NoLimit:
    """The slots of a race that has the engine to itself."""

    def acquire_up_to(self, total: int) -> int:
        return total

    def release_down_to(self, total: int) -> None: ...


@dataclass(slots=True)
class SlotAccount:
    """How many slots a race occupies, and so how many more requests it may make.

    Args:
        slots: what it may occupy.
        granted: branches that it may run at a time.
        aborting: branches that were cut and that the engine has not been told of yet.
        beside: requests beside branches.
    """

    slots: Slots
    granted: int
    aborting: int = 0
    beside: int = 0

    def room(self, active: int, more: int) -> int:
        """Of ``more`` branches beyond the ``active`` ones, how many may run now."""
        held = self.slots.acquire_up_to(self._needed(active + more))
        return max(0, min(more, self.granted - active, held - self.beside - active))

    def room_beside(self, active: int, more: int) -> int:
        """Of ``more`` requests beside the ``active`` branches, how many may run now."""
        needed = self._needed(active)
        return max(0, min(more, self.slots.acquire_up_to(needed + more) - needed))

    def release_unused(self, active: int) -> None:
        """Give back what ``active`` branches do not need."""
        self.slots.release_down_to(self._needed(active))

    def _needed(self, branches: int) -> int:
        # Launching takes over the slots of those that are being aborted.
        return self.beside + min(self.granted, branches + self.aborting)
