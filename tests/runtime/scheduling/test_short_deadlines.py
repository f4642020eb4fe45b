"""One slow step does not lock out races with short deadlines."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.engines.protocol import Chunk, EngineLoad, Generation, StepTimes
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import DeadlineTooShort
from frontrunner.runtime.runtime import Runtime

STEP, PAUSE = 0.02, 0.45


class Measured(ScriptedEngine):
    """An engine that measures its steps as the remote one does."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.times = StepTimes(clock=anyio.current_time)

    def load(self) -> EngineLoad:
        return replace(
            super().load(),
            step_seconds=self.times.quantile(0.95),
            idle_step_seconds=self.times.idle,
        )

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        last = anyio.current_time()
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                now = anyio.current_time()
                if chunk.token_ids:
                    self.times.add((now - last) / len(chunk.token_ids))
                last = now
                yield chunk


def script(pause: float) -> BranchScript:
    pieces = [Piece(STEP, "hm ") for _ in range(10)]
    return BranchScript((*pieces, Piece(STEP + pause, "so "), Piece(STEP, "\\boxed{1}")))


async def ask(runtime: Runtime) -> bool:
    """Whether a race of 0.8 s is taken."""
    try:
        await runtime.solve("?", deadline=0.8, branches=4)
    except DeadlineTooShort:
        return False
    return True


async def test_a_pause_near_a_races_end_refuses_the_next_for_a_moment_only() -> None:
    engine = Measured(Script([script(PAUSE)], [script(0.0)]))
    async with Runtime(engine) as runtime:
        assert await ask(runtime)
        engine.script.branches = [script(0.0)]
        taken = list[bool]()
        for _ in range(20):
            taken.append(await ask(runtime))
            await anyio.sleep(0.2)
        assert all(taken[5:]), taken


async def test_races_are_let_through_now_and_then_to_measure_anew() -> None:
    class Slow(ScriptedEngine):
        def load(self) -> EngineLoad:
            return EngineLoad(step_seconds=1.0, idle_step_seconds=STEP)

    async with Runtime(Slow(Script([script(0.0)], [script(0.0)]))) as runtime:
        taken = 0
        for _ in range(100):
            taken += await ask(runtime)
            await anyio.sleep(0.1)
        assert 5 <= taken <= 20
        # What it could not even do with nothing else to do, is no measurement.
        with pytest.raises(DeadlineTooShort, match="two steps of 1 s"):
            await runtime.solve("?", deadline=0.05)


@given(
    st.lists(st.floats(0.001, 10.0), min_size=1, max_size=100),
    st.floats(0.0, 1_000.0),
    st.floats(0.0, 1_000.0),
)
def test_slow_steps_fade_towards_usual_ones_and_never_below(
    steps: list[float], age: float, more: float
) -> None:
    now = [0.0]
    times = StepTimes(clock=lambda: now[0])
    for step in steps:
        times.add(step)
    fresh, idle = times.quantile(0.95), times.idle
    assert fresh is not None
    assert idle is not None
    assert any(fresh == pytest.approx(step) for step in steps)
    now[0] += age
    older = times.quantile(0.95)
    now[0] += more
    oldest = times.quantile(0.95)
    assert older is not None
    assert oldest is not None
    rounding = 1e-9
    assert min(fresh, idle) - rounding <= oldest <= older <= fresh + rounding
    now[0] += 1_000.0
    assert times.quantile(0.95) == pytest.approx(min(fresh, idle))


async def test_a_short_race_waits_for_slots_that_are_just_about_to_come_back() -> None:
    """It has less time than it should have, and would begin on a free engine all the same."""
    answer = BranchScript.answering("1", seconds=0.1)
    engine = ScriptedEngine(Script([answer], [answer]), max_branches=2, step_seconds=0.05)
    async with Runtime(engine) as runtime, anyio.create_task_group() as tasks:

        async def other() -> None:
            await runtime.solve("?", deadline=20.0, branches=2, parameters={"stop": "none"})

        await other()  # by which it is known how long slots are held
        tasks.start_soon(other)
        await anyio.sleep(0.05)
        assert runtime.admission_load().free == 0
        result = await runtime.solve("?", deadline=0.8, branches=2)
        assert result.answer == "1"
        assert result.elapsed <= 0.8
