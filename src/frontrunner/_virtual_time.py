"""An event loop in virtual time."""

import asyncio
import selectors
from collections.abc import Callable


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time, also for tests with real sockets whose both ends are on it.

    Its clock stands still while anything can run, however slow the machine is; when nothing can, it
    jumps to the next timer. Work in threads, such as looking up a host, is given a moment first.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._patient = _PatientSelector(self._jump)
        super().__init__(self._patient)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for its threads however long they take: they work in real time."""
        await super().shutdown_default_executor()

    def _jump(self, seconds: float) -> None:
        self._now += seconds


class _PatientSelector(selectors.DefaultSelector):
    """Says how long it would have waited for nothing, instead of waiting."""

    PATIENCE_S = 0.002

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            return ready if ready or timeout is not None else super().select(None)
        ready = super().select(min(timeout, self.PATIENCE_S))
        if not ready:
            self._jump(timeout)
        return ready
