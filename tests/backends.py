"""Event loops for tests.

Async tests run on trio in virtual time: sleeping costs nothing and times are exact. Those that do
not look at the clock run on the real event loops as well.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import pytest
import sniffio
import trio
import trio.testing

from frontrunner._virtual_time import VirtualLoop

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


async def until(condition: Callable[[], bool], turns: int = 30_000) -> None:
    """Let others run until ``condition`` holds; fail after ``turns`` pauses of a millisecond."""
    for _ in range(turns):
        if condition():
            return
        await anyio.sleep(0.001)
    raise AssertionError("what was waited for did not happen")
