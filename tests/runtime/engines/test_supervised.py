"""An engine that dies or hangs is started again, and everybody hears of it at once."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest
from tests.backends import until

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import (
    Chunk,
    CountsRestarts,
    EngineLoad,
    Generation,
    RunsBeside,
)
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.engines.supervised import SupervisedEngine, Supervision
from frontrunner.runtime.errors import (
    EngineClosed,
    EngineDead,
    EngineRestarting,
    EngineStartError,
)
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.observability.health import Health
from frontrunner.runtime.serving.observability.metrics import Metrics
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ..race_harness import says, stalls

START = 4.0
"""Seconds that an engine takes to start."""
PATIENT = Settings.from_dict({"race": {"silence_factor": 0}})
"""Branches that say nothing are the engine's to end."""
LIMITS = Supervision(stall_limit=2.0, restarts=3)


class Restartable(ScriptedEngine):
    """A scripted engine that takes its time to start, and counts its chunks as steps."""

    def __init__(self, branches: Sequence[BranchScript], *, fails: bool = False) -> None:
        super().__init__(Script(branches, forced=[stalls()]), step_seconds=0.01)
        self.fails = fails
        self.steps = 0
        self.killed_for: str | None = None
        self.closed = 0

    async def start(self) -> None:
        try:
            await anyio.sleep(START)
            if self.fails:
                raise EngineStartError("no room")
            await super().start()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()

    def kill(self, why: str = "killed") -> None:
        self.killed_for = why
        super().kill()

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                self.steps += bool(chunk.token_ids)
                yield chunk


class Engines:
    """The engines that were made, in order; the i-th gets the i-th script, or the last."""

    def __init__(self, *scripts: Sequence[BranchScript], failing: Sequence[int] = ()) -> None:
        self._scripts = scripts
        self._failing = failing
        self.made: list[Restartable] = []

    def __call__(self) -> Restartable:
        index = len(self.made)
        script = self._scripts[min(index, len(self._scripts) - 1)]
        self.made.append(Restartable(script, fails=index in self._failing))
        return self.made[-1]


@asynccontextmanager
async def running(
    engines: Engines, limits: Supervision = LIMITS
) -> AsyncGenerator[tuple[Runtime, SupervisedEngine[Restartable]], None]:
    engine = SupervisedEngine(engines, limits)
    assert all(isinstance(engine, protocol) for protocol in (RunsBeside, CountsRestarts))
    async with Runtime(engine, PATIENT) as runtime:
        yield runtime, engine
    assert isinstance(engine.failure, EngineClosed)
    assert all(made.closed for made in engines.made)


async def test_a_dead_engine_is_replaced_and_races_meanwhile_are_refused() -> None:
    engines = Engines([says("1", 3.0), stalls()], [says("2", 1.0)])
    async with running(engines) as (runtime, engine), anyio.create_task_group() as tasks:
        health, metrics = Health(engine, 5.0), Metrics()
        metrics.read_load(runtime)

        async def killed() -> None:
            began = anyio.current_time()
            options = {"stop": "none"}
            result = await runtime.solve("?", deadline=60.0, branches=2, parameters=options)
            # At once, with the vote that was there.
            assert anyio.current_time() - began == pytest.approx(5.0)
            assert result.answer == "1"
            assert [b.status for b in result.branches].count(BranchStatus.FAILED) == 1

        tasks.start_soon(killed)
        await anyio.sleep(5.0)
        assert health.faults() == []
        engines.made[0].kill()
        assert isinstance(engine.failure, EngineRestarting)
        for _ in range(3):  # before and after the next look
            assert [fault.code for fault in health.faults()] == ["engine_restarting"]
            assert health.alive
            with pytest.raises(EngineRestarting) as refused:
                await runtime.solve("?", deadline=60.0)
            assert 1.0 <= refused.value.retry_after <= START + 1.0
            await anyio.sleep(1.0)
        assert metrics.value("frontrunner_engine_up") == 0.0
        await anyio.sleep(START - 2.0)
        assert health.faults() == []
        assert metrics.value("frontrunner_engine_up") == 1.0
        assert metrics.value("frontrunner_engine_restarts_total") == 1.0
        assert (await runtime.solve("?", deadline=10.0)).answer == "2"


async def test_an_engine_without_a_step_is_killed_and_replaced() -> None:
    engines = Engines([stalls("hm ", after=1.0)], [says("2", 1.0)])
    async with running(engines) as (runtime, engine):
        await anyio.sleep(100.0)  # idle: nothing is missing
        assert engine.failure is None
        began = anyio.current_time()
        result = await runtime.solve("?", deadline=60.0, branches=2)
        assert result.stop_reason is StopReason.FAILED
        # The limit after the last step, and a look.
        assert anyio.current_time() - began == pytest.approx(1.0 + LIMITS.stall_limit, abs=0.3)
        assert "took no step for" in (engines.made[0].killed_for or "")
        assert isinstance(engine.failure, EngineRestarting)
        await anyio.sleep(START + 1.0)
        assert (await runtime.solve("?", deadline=10.0)).answer == "2"
        assert engine.restarts == 1


async def test_short_races_on_an_engine_that_hangs_add_up() -> None:
    engines = Engines([stalls()], [says("2", 1.0)])
    async with running(engines) as (runtime, engine):
        for _ in range(6):
            result = await runtime.solve("?", deadline=0.5, branches=2)
            assert result.answer is None
            await anyio.sleep(30.0)  # idle: nothing is missing
        assert engine.restarts == 1
        assert (await runtime.solve("?", deadline=10.0)).answer == "2"


async def test_a_slow_engine_does_not_hang() -> None:
    class Slow(Restartable):
        def load(self) -> EngineLoad:
            return EngineLoad(running=len(self._live), step_seconds=1.0)

    slow = BranchScript(tuple(Piece(10.0, "x ") for _ in range(4)))
    engine = SupervisedEngine(lambda: Slow([slow]), LIMITS)
    async with Runtime(engine) as runtime:
        await runtime.solve("?", deadline=100.0, branches=1)
        assert engine.failure is None
        assert engine.restarts == 0


async def test_starts_that_fail_are_tried_again_with_longer_pauses_and_then_no_more() -> None:
    engines = Engines([stalls()], failing=range(1, 100))
    async with running(engines) as (runtime, engine):
        health = Health(engine, 5.0)
        await anyio.sleep(100.0)
        began = anyio.current_time()
        engines.made[0].kill()
        await until(lambda: isinstance(engine.failure, EngineDead))
        # At once, then after 0.5, 1 and 2 s.
        assert len(engines.made) == 1 + 1 + LIMITS.restarts
        took = (1 + LIMITS.restarts) * START + 0.5 + 1.0 + 2.0
        assert anyio.current_time() - began == pytest.approx(took, abs=0.2)
        assert isinstance(engine.failure, EngineDead)
        assert "engine.restarts" in str(engine.failure)
        assert [fault.code for fault in health.faults()] == ["engine_dead"]
        assert not health.alive
        assert (await runtime.solve("?", deadline=10.0)).stop_reason is StopReason.FAILED


async def test_an_engine_that_dies_again_and_again_is_given_up() -> None:
    engines = Engines([stalls()])
    async with running(engines) as (_, engine):
        for _ in range(1_000):
            if isinstance(engine.failure, EngineDead):
                break
            if engine.failure is None:
                engines.made[-1].kill()
            await anyio.sleep(1.0)
        assert isinstance(engine.failure, EngineDead)
        assert len(engines.made) == 1 + LIMITS.restarts


async def test_an_engine_that_lived_for_long_may_die_as_often_as_it_likes() -> None:
    engines = Engines([stalls()])
    async with running(engines) as (_, engine):
        for count in range(10):
            assert engine.restarts == count
            await anyio.sleep(LIMITS.stable + 1.0)
            engines.made[-1].kill()
            await anyio.sleep(START + 1.0)


@pytest.mark.parametrize("after", [0.05, 0.15, 1.0, START, START + 0.2])
async def test_a_runtime_that_is_left_meanwhile_leaves_no_engine(after: float) -> None:
    engines = Engines([stalls()])
    async with running(engines):
        engines.made[0].kill()
        await anyio.sleep(after)


async def test_without_restarts_a_dead_engine_stays_dead() -> None:
    engines = Engines([stalls()])
    async with running(engines, Supervision(stall_limit=2.0, restarts=0)) as (runtime, engine):
        await anyio.sleep(1_000.0)
        engines.made[0].kill()
        await anyio.sleep(1.0)
        assert isinstance(engine.failure, EngineDead)
        assert len(engines.made) == 1
        assert (await runtime.solve("?", deadline=10.0)).stop_reason is StopReason.FAILED
