"""An event that one task waits for until a time.

A race waits all the time for something that mostly does not happen before a time: for a deadline
that may be brought forward, for a token that an abort may forestall. A cancel scope around an event
is four times as much work as a timer and a future, and as many more objects.
"""

import asyncio
from math import inf

import anyio
import anyio.lowlevel

from .loop_clock import asyncio_loop


class TimedEvent:
    """Is set once. One task waits for it at a time; ``wait_until`` is cancelled as any other."""

    __slots__ = ("_at", "_fallback", "_loop", "_scope", "_timer", "_waiter", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._at = inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._fallback: anyio.Event | None = None  # in another event loop than asyncio's
        self._scope: anyio.CancelScope | None = None

    def set(self) -> None:
        """Let whoever waits go on, and whoever comes."""
        self.is_set = True
        if self._fallback is not None:
            self._fallback.set()
        self._finish()

    async def wait_until(self, at: float) -> bool:
        """Wait until it is set, or until ``at`` (anyio clock, seconds; ``inf`` is no limit).

        Returns:
            Whether it is set.
        """
        loop = asyncio_loop()
        if self.is_set:
            await anyio.lowlevel.checkpoint()
        elif loop is None:
            self._fallback = anyio.Event()
            try:
                with anyio.move_on_at(at) as self._scope:
                    await self._fallback.wait()
            finally:
                self._fallback = self._scope = None
        else:
            self._loop, self._at, self._waiter = loop, at, loop.create_future()
            try:
                self._start()
                await self._waiter
            finally:
                if self._timer is not None:
                    self._timer.cancel()
                self._loop = self._timer = self._waiter = None  # it holds nothing of itself
        return self.is_set

    def bring_forward(self, at: float) -> None:
        """Let whoever waits now do so until ``at`` at most."""
        if self._scope is not None:
            self._scope.deadline = min(self._scope.deadline, at)
        elif self._waiter is not None and at < self._at:
            self._at = at
            if self._timer is not None:
                self._timer.cancel()
            self._start()

    def _start(self) -> None:
        if self._loop is not None and self._at < inf:
            self._timer = self._loop.call_at(self._at, self._ring)

    def _ring(self) -> None:
        # A loop rings up to the resolution of its clock early.
        if self._loop is not None and self._loop.time() < self._at:
            self._start()
        else:
            self._finish()

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
