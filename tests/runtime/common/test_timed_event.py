"""An event that one task waits for until a time."""

from math import inf

import anyio
import pytest

from frontrunner.runtime.common.timed_event import TimedEvent

both = pytest.mark.parametrize("anyio_backend", ["virtual", "virtual-asyncio"], indirect=True)


@both
@pytest.mark.parametrize("at", [0.5, 1.0, 2.0, inf])
async def test_it_ends_when_it_is_set_or_the_time_has_come(at: float) -> None:
    event, began = TimedEvent(), anyio.current_time()

    async def set_later() -> None:
        await anyio.sleep(1.5)
        event.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(set_later)
        assert await event.wait_until(began + at) is (at > 1.5)
        assert anyio.current_time() - began == pytest.approx(min(at, 1.5))
    assert event.is_set
    assert await event.wait_until(inf)


@both
async def test_the_time_comes_closer_and_never_goes_away() -> None:
    event, began = TimedEvent(), anyio.current_time()

    async def bring_forward() -> None:
        event.bring_forward(0.0)  # nobody waits yet
        await anyio.sleep(0.5)
        event.bring_forward(began + 5.0)
        event.bring_forward(began + 1.0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bring_forward)
        await anyio.sleep(0.1)
        assert not await event.wait_until(began + 2.0)
    assert anyio.current_time() - began == pytest.approx(1.0)
    assert not await event.wait_until(began + 3.0)
    assert anyio.current_time() - began == pytest.approx(3.0)


@both
async def test_waiting_is_cancelled_and_can_begin_again() -> None:
    event, began = TimedEvent(), anyio.current_time()
    with anyio.move_on_after(1.0) as scope:
        await event.wait_until(inf)
    assert scope.cancelled_caught
    assert not await event.wait_until(began + 2.0)
    event.set()
    with anyio.CancelScope() as cancelled:
        cancelled.cancel()
        await event.wait_until(inf)
    assert cancelled.cancelled_caught
