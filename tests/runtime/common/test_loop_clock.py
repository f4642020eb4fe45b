"""The clock of the event loop, without asking each time which library runs."""

import asyncio

import anyio
import pytest
from tests.backends import SteadyLoop, run_virtual

from frontrunner._virtual_time import VirtualLoop
from frontrunner.runtime.common.loop_clock import loop_clock, loop_time


async def _agrees() -> bool:
    clock = loop_clock()
    before = anyio.current_time()
    told = clock(), loop_time()
    after = anyio.current_time()
    await anyio.sleep(0.01)
    return before <= min(told) <= max(told) <= after < clock() and clock() <= anyio.current_time()


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, SteadyLoop, VirtualLoop])
def test_the_clock_is_that_of_the_loop(loop: type[asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(_agrees())


def test_the_clock_of_a_loop_whose_time_was_replaced() -> None:
    with asyncio.Runner() as runner:
        runner.get_loop().time = lambda: 7.0

        async def now() -> float:
            return loop_clock()()

        assert runner.run(now()) == 7.0


def test_on_uvloop_and_on_trio() -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_agrees())
    assert run_virtual(_agrees)
