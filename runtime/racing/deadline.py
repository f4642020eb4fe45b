"""Where the deadline is kept: the call time, when forced answers must be asked for, and the hard
stop, when the race is called with whatever there is."""

from collections.abc import Callable

import anyio

#: Of the time that is left at the call time, what forced answers get at least, if they need it.
_ROUND_SHARE = 0.5


class Deadline:
    """The deadline of one race (anyio clock, seconds). It can come closer, but never go away.

    Args:
        deadline: when the caller must have the result.
        margin: seconds kept for handing the result back, at the moment.
    """

    def __init__(
        self,
        deadline: float,
        margin: Callable[[], float],
    ) -> None:
        self._deadline = deadline
        self._margin = margin
        self._called_at: float | None = None
        self._needed = 0.0  # seconds, from then on

    @property
    def at(self) -> float:
        """When the caller must have the result."""
        return self._deadline

    @property
    def hard_stop(self) -> float:
        """When the race is called at the latest."""
        usual = self._deadline - self._margin()
        if self._called_at is None or self._called_at >= self._deadline:
            return usual
        left = self._deadline - self._called_at
        return max(usual, self._called_at + min(self._needed, _ROUND_SHARE * left))

    def leave_time(self, seconds: float) -> None:
        """The call time is now, and the forced answers need so many seconds: they get them, or
        their share of what is left, also where the event loop was so late that all of it would be
        kept for handing the result back. It would be the result of nobody's having been asked."""
        self._called_at, self._needed = anyio.current_time(), seconds

    def shorten(self, deadline: float) -> bool:
        """Bring the deadline forward; a later one than before changes nothing.

        Returns:
            Whether it is earlier now.
        """
        if deadline >= self._deadline:
            return False
        self._deadline = deadline
        return True
