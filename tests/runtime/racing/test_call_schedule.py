"""One schedule keeps the time of all races, and calls earlier what would come together."""

import gc

import anyio
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import DeadlineTooShort, Overloaded
from frontrunner.runtime.racing.call_schedule import CallSchedule, CallTimes
from frontrunner.runtime.racing.deadline import Deadline
from frontrunner.runtime.runtime import Runtime


async def called_at(
    deadlines: list[float], launch_seconds: float
) -> tuple[list[float], list[float]]:
    """When races with these deadlines are called, and stopped."""
    called, stopped = [0.0] * len(deadlines), [0.0] * len(deadlines)
    over, began = anyio.Event(), anyio.current_time()
    schedule = CallSchedule()
    schedule.launched(1, launch_seconds)

    def add(index: int, deadline: float) -> None:
        def stop(since: float) -> None:
            stopped[index] = anyio.current_time() - began
            if all(stopped):
                over.set()

        def call(left: float) -> None:
            called[index] = anyio.current_time() - began

        schedule.add(
            CallTimes(Deadline(began + deadline, lambda: 0.0), lambda: 0.1, lambda: 16, call, stop)
        )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(schedule.run)
        for index, deadline in enumerate(deadlines):
            add(index, deadline)
        await over.wait()
        tasks.cancel_scope.cancel()
    return called, stopped


async def test_races_that_cost_nothing_are_called_at_their_times() -> None:
    called, stopped = await called_at([2.0, 2.0, 1.0], 0.0)
    assert called == pytest.approx([1.9, 1.9, 0.9])
    assert stopped == pytest.approx([2.0, 2.0, 1.0])


async def test_races_that_end_together_are_called_one_after_the_other() -> None:
    called, stopped = await called_at([2.0] * 20, 0.0001)
    assert len(set(called)) == len(called)
    assert max(called) <= 1.9
    assert min(called) < 1.9 - 19 * 16 * 0.0001
    assert min(called) >= 1.0  # half of the time is for thinking, whatever others need
    assert max(stopped) <= 2.0
    assert min(stopped) < 2.0 - 19 * 16 * 0.0001


async def test_a_call_time_that_recedes_is_reached() -> None:
    """What is left of the reserve gets less by every look, so the call is always a little away."""
    looks = 0
    began = anyio.current_time()
    called = anyio.Event()

    def reserve() -> float:
        nonlocal looks
        looks += 1
        assert looks < 1_000
        return 0.1 - 1e-9 * looks

    schedule = CallSchedule()
    deadline = Deadline(began + 1.0, lambda: 0.0)
    schedule.add(
        CallTimes(deadline, reserve, lambda: 4, lambda left: called.set(), lambda since: None)
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(schedule.run)
        await called.wait()
        tasks.cancel_scope.cancel()
    assert anyio.current_time() - began == pytest.approx(0.9, abs=0.001)


async def test_a_race_alone_is_not_called_earlier() -> None:
    called, stopped = await called_at([2.0], 0.0001)
    assert called == pytest.approx([1.9])
    assert stopped == pytest.approx([2.0])


def thinking(seconds: float = 30.0) -> ScriptedEngine:
    pieces = tuple(Piece(0.1, "hm ") for _ in range(int(seconds / 0.1)))
    forced = BranchScript((Piece(0.001, "42}"),))
    return ScriptedEngine(Script([BranchScript(pieces)], [forced]), max_branches=64)


async def test_more_races_than_can_be_ended_in_time_are_refused_as_overload() -> None:
    async with Runtime(thinking(), Settings()) as runtime:
        schedule = runtime._maker.schedule
        assert schedule is not None
        await runtime.solve("?", branches=2, deadline=0.5)
        schedule.launch_seconds = 0.05
        async with anyio.create_task_group() as tasks:
            options = {"branches": 2, "min_branches": 2, "deadline": 1.0}
            tasks.start_soon(lambda: runtime.solve("?", **options))
            await anyio.sleep(0.01)
            with pytest.raises(Overloaded) as refused:
                await runtime.solve("?", **options)
            assert 0 < refused.value.retry_after <= 1.0


async def test_what_a_lag_makes_too_short_is_refused_as_overload() -> None:
    async with Runtime(thinking(), Settings()) as runtime:
        runtime._reserve.record_lag(0.5, anyio.current_time())
        with pytest.raises(Overloaded) as refused:
            await runtime.solve("?", branches=2, deadline=0.3)
        await anyio.sleep(refused.value.retry_after + 0.01)
        assert (await runtime.solve("?", branches=2, deadline=0.3)).branches
        with pytest.raises(DeadlineTooShort):
            await runtime.solve("?", branches=2, deadline=0.001)


@pytest.mark.parametrize("deadline", [0.5, 60.0], ids=["called", "ends by itself"])
async def test_a_race_leaves_nothing_to_the_collector(deadline: float) -> None:
    pieces = (*(Piece(0.1, "hm ") for _ in range(20)), Piece(0.1, "\\boxed{42}"))
    forced = BranchScript((Piece(0.001, "42}"),))
    engine = ScriptedEngine(Script([BranchScript(pieces)], [forced]))
    options = {"branches": 8, "deadline": deadline, "parameters": {"stop": "none"}}
    async with Runtime(engine, Settings()) as runtime:
        await runtime.solve("?", **options)  # what is made once
        await anyio.sleep(1.0)
        enabled = gc.isenabled()
        gc.disable()
        try:
            gc.collect()
            gc.set_debug(gc.DEBUG_SAVEALL)
            result = await runtime.solve("?", **options)
            await anyio.sleep(1.0)
            gc.collect()
            left = [type(thing).__name__ for thing in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            if enabled:
                gc.enable()
        assert result.answer == "42"
        assert not {"Race", "Branch", "RaceCore", "CallTimes"} & set(left)
        assert len(left) < 8  # fewer than branches
