"""A race that is shown while it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from ...events.fold import RaceState
from ...events.types import Event, RaceStarted


@dataclass(slots=True)
class Scoreboard:
    """What is known of a race, beside a clock.

    Events arrive in the event loop while another thread draws, which a ``RaceState`` allows.
    """

    question: str
    clock: Callable[[], float] = monotonic  # seconds
    race: RaceState = field(default_factory=RaceState)
    _began: float = 0.0

    def take(self, event: Event) -> None:
        """Take in what happened."""
        if isinstance(event, RaceStarted):
            self._began = self.clock() - event.at
        self.race.apply(event)

    def elapsed(self) -> float:
        """Seconds since the start; those that the race took once it is decided."""
        if self.race.result is not None:
            return self.race.result.elapsed
        return self.clock() - self._began if self.race.deadline is not None else 0.0
