"""Event loops for tests.

Async tests run on trio in virtual time: sleeping costs nothing and times are exact. Those that do
not look at the clock run on the real event loops as well.
"""

import asyncio
import selectors
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import TypeVar

import anyio
import pytest
import sniffio
import trio
import trio.testing

from frontrunner._virtual_time import VirtualLoop

T = TypeVar("T")


class SteadyLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in real time, but for the pauses of a busy machine.

    For tests with real sockets and real timers: a turn of the loop counts as `LONGEST_TURN_S` at
    most, however long it took, and a timer that fires late fires at its time.
    """

    LONGEST_TURN_S = 0.002

    def __init__(self) -> None:
        self._steady = _SteadySelector(self.LONGEST_TURN_S)
        super().__init__(self._steady)

    def time(self) -> float:
        """Seconds since the loop was made, without pauses."""
        return self._steady.now()

    def hold_at(self, time: float) -> None:
        """Let no time pass beyond ``time``, until it is released: for who must see what is so for
        a moment only, however long looking takes."""
        self._steady.held_at = time

    def release(self) -> None:
        """Let time pass again."""
        self._steady.held_at = inf

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for its threads however long they take."""
        await super().shutdown_default_executor()


class _SteadySelector(selectors.DefaultSelector):
    """Adds up turns, at most so long, and waits, at most as long as they were to be."""

    def __init__(self, longest_turn: float) -> None:
        super().__init__()
        self._longest = longest_turn
        self._counted = 0.0  # seconds up to `_turn_began`
        self._turn_began = time.monotonic()
        self.held_at = inf

    def now(self) -> float:
        turn = min(time.monotonic() - self._turn_began, self._longest)
        return max(self._counted, min(self._counted + turn, self.held_at))

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._counted = self.now()
        self._turn_began = time.monotonic()
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._counted + (inf if timeout is None else timeout) > self.held_at:
            # Time stops before that; what does not come with time may come at any moment.
            ready = super().select(max(self.held_at - self._counted, 0.0) or None)
            waited = time.monotonic() - self._turn_began
            self._counted = max(self._counted, min(self._counted + waited, self.held_at))
            self._turn_began = time.monotonic()
            return ready
        ready = super().select(timeout)
        waited = time.monotonic() - self._turn_began
        self._counted += waited if timeout is None or (ready and waited < timeout) else timeout
        self._turn_began = time.monotonic()
        return ready


#: What an ``anyio_backend`` fixture returns for asyncio in real time, without pauses.
STEADY_ASYNCIO: tuple[str, dict[str, object]] = ("asyncio", {"loop_factory": SteadyLoop})

#: For tests whose outcome does not depend on exact times; keep their delays to milliseconds.
every_backend = pytest.mark.parametrize(
    "anyio_backend", ["virtual", "asyncio", "uvloop"], indirect=True
)


def run_virtual(function: Callable[[], Awaitable[T]], *instruments: trio.abc.Instrument) -> T:
    """Run a coroutine function by itself, at virtual time 0: for many runs in one test."""
    options = {
        "clock": trio.testing.MockClock(autojump_threshold=0),
        "instruments": list(instruments),
    }
    return anyio.run(function, backend="trio", backend_options=options)


#: For tests on real sockets that look at the clock.
virtual_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("asyncio", {"loop_factory": VirtualLoop}), id="virtual-asyncio")],
)


def tasks_alive() -> int:
    """How many tasks the running event loop holds."""
    if sniffio.current_async_library() == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return sum(not task.done() for task in asyncio.all_tasks())


@asynccontextmanager
async def no_tasks_left() -> AsyncGenerator[None, None]:
    """Assert that the block leaves no task behind; in real time some may just be ending, and some
    that were there before may have ended."""
    before = tasks_alive()
    yield
    if sniffio.current_async_library() == "asyncio":
        with suppress(AssertionError):
            await until(lambda: tasks_alive() <= before)
    assert tasks_alive() <= before


async def until(condition: Callable[[], bool], turns: int = 30_000) -> None:
    """Let others run until ``condition`` holds; fail after ``turns`` pauses of a millisecond."""
    for _ in range(turns):
        if condition():
            return
        await anyio.sleep(0.001)
    raise AssertionError("what was waited for did not happen")
