"""Where the deadline is kept: the call time, when forced answers must be asked for, and the hard
stop, when the race is called with whatever there is."""

from collections.abc import Callable

from ..common.loop_clock import loop_time
from ..common.timed_event import TimedEvent
from .call_crowd import CallCrowd

#: How often the call time is worked out anew while it draws near, in seconds.
_CALL_TIME_STEP = 0.02
#: Of the time that is left at the call time, what forced answers get at least, if they need it.
_ROUND_SHARE = 0.5


class Deadline:
    """The deadline of one race (anyio clock, seconds). It can come closer, but never go away.

    Args:
        deadline: when the caller must have the result.
        margin: seconds kept for handing the result back, at the moment.
        on_lag: told how late (seconds) the event loop woke it, and when (anyio clock, seconds).
    """

    def __init__(
        self,
        deadline: float,
        margin: Callable[[], float],
        on_lag: Callable[[float, float], None] = lambda seconds, now: None,
    ) -> None:
        self._deadline = deadline
        self._margin = margin
        self._on_lag = on_lag
        self._shortened = TimedEvent()
        self._called_at: float | None = None
        self._needed = 0.0  # seconds, from then on
        self._crowd: tuple[CallCrowd, int, float] | None = None  # with branches, and seconds in all

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
        self._called_at, self._needed = loop_time(), seconds

    def shorten(self, deadline: float) -> bool:
        """Bring the deadline forward; a later one than before changes nothing.

        Returns:
            Whether it is earlier now.
        """
        if deadline >= self._deadline:
            return False
        if self._crowd is not None:
            crowd, branches, _ = self._crowd
            crowd.leave(self._deadline, branches)
            crowd.enter(deadline, branches)
        self._deadline = deadline
        self._shortened.set()
        self._shortened = TimedEvent()
        return True

    def join(self, crowd: CallCrowd, branches: int, seconds: float) -> None:
        """A race of so many branches, which has so many seconds in all, runs until then, and is
        called earlier by what others need at about the same moment. ``quit`` must follow."""
        self._crowd = crowd, branches, seconds
        crowd.enter(self._deadline, branches)

    def quit(self) -> None:
        """It is over."""
        if self._crowd is not None:
            crowd, branches, _ = self._crowd
            self._crowd = None
            crowd.leave(self._deadline, branches)

    def _others(self) -> float:
        if self._crowd is None:
            return 0.0
        crowd, branches, seconds = self._crowd
        return crowd.seconds(self._deadline, branches, seconds)

    async def wait_for_call_time(self, reserve: Callable[[], float]) -> float:
        """Wait until only ``reserve`` seconds are left, and what others need who are called at
        about the same moment. Both follow the load, so the call time is worked out anew on the way.

        Returns:
            Seconds that are left.
        """
        while (left := self._deadline - reserve() - self._others() - loop_time()) > 0:
            await self._pause(min(left, max(_CALL_TIME_STEP, left / 2)))
        return self._deadline - loop_time()

    async def wait_for_hard_stop(self) -> float:
        """Wait until the race must be called.

        Returns:
            When that was, on the anyio clock.
        """
        while (left := self.hard_stop - loop_time()) > 0:
            await self._pause(left)
        return self.hard_stop

    async def _pause(self, seconds: float) -> None:
        """Wait, or until the deadline is brought forward."""
        due = loop_time() + seconds
        if not await self._shortened.wait_until(due):
            now = loop_time()
            self._on_lag(now - due, now)
