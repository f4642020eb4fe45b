"""The reserve knows how busy the event loop is."""

import anyio

from frontrunner.runtime.engines.protocol import EngineInfo, EngineLoad
from frontrunner.runtime.racing.call_schedule import CallSchedule, CallTimes
from frontrunner.runtime.racing.deadline import Deadline
from frontrunner.runtime.racing.deadline_reserve import DeadlineReserve


async def test_a_lag_makes_the_reserve_longer_and_fades_by_itself() -> None:
    reserve = DeadlineReserve(0.05, 0.05)
    idle_margin, idle = reserve.margin, reserve.seconds(0.2)
    reserve.record_lag(0.1, anyio.current_time())
    assert reserve.margin >= idle_margin + 0.1
    assert reserve.seconds(0.2) - idle > reserve.margin - idle_margin
    reserve.record_lag(0.0, anyio.current_time())
    assert reserve.margin > idle_margin
    await anyio.sleep(2)
    assert reserve.margin == idle_margin
    assert reserve.seconds(0.2) == idle


async def test_a_usual_lag_and_a_pause_of_the_machine_cost_little() -> None:
    reserve = DeadlineReserve(0.05, 0.05)
    margin = reserve.margin
    reserve.record_lag(0.004, anyio.current_time())
    assert reserve.margin == margin
    reserve.record_lag(60.0, anyio.current_time())
    assert reserve.margin <= margin + 1.0


async def test_a_schedule_tells_how_late_it_was_woken() -> None:
    told: list[tuple[float, float]] = []
    now = anyio.current_time()
    schedule = CallSchedule(lambda lag, at: told.append((lag, at)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(schedule.run)
        deadline = Deadline(now + 1.0, lambda: 0.0)
        stopped = anyio.Event()
        times = CallTimes(
            deadline, lambda: 0.0, lambda: 1, lambda left: None, lambda since: stopped.set()
        )
        schedule.add(times)
        await stopped.wait()
        tasks.cancel_scope.cancel()
    assert {lag for lag, _ in told} == {0.0}
    assert told[-1] == (0.0, now + 1.0)


def info() -> EngineInfo:
    return EngineInfo("e", "m", 100, 8, 64, 1, seeded=True)


def test_outside_an_event_loop_a_reserve_without_lag_can_be_asked() -> None:
    reserve = DeadlineReserve(0.05, 0.05)
    assert reserve.seconds(reserve.round_seconds(2, 1, 1, info(), EngineLoad())) > 0.05
