"""The reserve knows how busy the event loop is."""

import anyio
import pytest
from tests.strategies.counted import counted

from frontrunner.runtime.engines.protocol import EngineInfo, EngineLoad
from frontrunner.runtime.racing.deadline import Deadline
from frontrunner.runtime.racing.deadline_reserve import DeadlineReserve

from ..race_harness import Setup, WatchedEngine, check_result, forced_says, stalls


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


async def test_a_deadline_tells_how_late_it_was_woken() -> None:
    told: list[tuple[float, float]] = []
    now = anyio.current_time()
    deadline = Deadline(now + 1.0, lambda: 0.0, lambda lag, at: told.append((lag, at)))
    await deadline.wait_for_hard_stop()
    assert told == [(0.0, now + 1.0)]


def info() -> EngineInfo:
    return EngineInfo("e", "m", 100, 8, 64, 1, seeded=True)


def test_outside_an_event_loop_a_reserve_without_lag_can_be_asked() -> None:
    reserve = DeadlineReserve(0.05, 0.05)
    assert reserve.seconds(reserve.round_seconds(2, 1, 1, info(), EngineLoad())) > 0.05


async def test_a_lag_at_the_call_time_takes_no_more_than_half_of_what_is_left() -> None:
    """Else all that is left would be kept for handing back the result of nobody's being asked."""
    began, margin = anyio.current_time(), [0.1]
    deadline = Deadline(began + 1.0, lambda: margin[0])
    await deadline.wait_for_call_time(lambda: 0.4)
    assert deadline.hard_stop == pytest.approx(began + 0.9)
    margin[0] = 5.0
    deadline.leave_time(0.3)
    assert deadline.hard_stop == pytest.approx(began + 0.8)  # half of 0.4, which is less than 0.3
    deadline.leave_time(0.1)
    assert deadline.hard_stop == pytest.approx(began + 0.7)  # all that is needed
    deadline.shorten(began + 0.8)
    assert began + 0.6 < deadline.hard_stop <= began + 0.7
    await anyio.sleep(0.5)
    deadline.leave_time(0.3)
    assert deadline.hard_stop < anyio.current_time()  # it is over, and nobody is asked any more


async def test_unfinished_branches_are_asked_also_when_the_event_loop_was_busy_just_then() -> None:
    engine = WatchedEngine([stalls("x ")] * 4, [forced_says("42", 0.01)])
    setup = Setup(engine, counted(4), deadline=2.0)
    call = setup.call_time(4)
    race = await setup.race()
    reserve = setup.reserve
    assert reserve is not None

    async def lag() -> None:
        await anyio.sleep(call - 0.001)
        reserve.record_lag(0.5, anyio.current_time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lag)
        result = await race.run()
        check_result(result)
        assert result.forced_votes == {"42": 4}
