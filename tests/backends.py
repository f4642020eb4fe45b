"""Event loops for tests.

Async tests run on trio in virtual time: sleeping costs nothing and times are exact. Those that do
not look at the clock run on the real event loops as well.
"""

import asyncio
import selectors
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import pytest
import sniffio
import trio
import trio.testing

T = TypeVar("T")

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


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time, for tests with real sockets whose both ends are on it.

    Its clock stands still while anything can run, however slow the machine is; when nothing can, it
    jumps to the next timer. Work in threads, such as looking up a host, is given a moment first.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._patient = _PatientSelector(self._jump)
        super().__init__(self._patient)

    def time(self) -> float:
        return self._now

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
    """Assert that the block leaves no task behind."""
    before = tasks_alive()
    yield
    assert tasks_alive() == before


async def until(condition: Callable[[], bool], turns: int = 2_000) -> None:
    """Let others run until ``condition`` holds; fail after ``turns`` pauses of a millisecond."""
    for _ in range(turns):
        if condition():
            return
        await anyio.sleep(0.001)
    raise AssertionError("what was waited for did not happen")
