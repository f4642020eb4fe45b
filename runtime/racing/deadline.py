"""Where the deadline is kept: the call time, when forced answers must be asked for, and the hard
stop, when the race is called with whatever there is."""

from collections.abc import Callable


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

    @property
    def at(self) -> float:
        """When the caller must have the result."""
        return self._deadline

    @property
    def hard_stop(self) -> float:
        """When the race is called at the latest."""
        return self._deadline - self._margin()

    def shorten(self, deadline: float) -> bool:
        """Bring the deadline forward; a later one than before changes nothing.

        Returns:
            Whether it is earlier now.
        """
        if deadline >= self._deadline:
            return False
        self._deadline = deadline
        return True
