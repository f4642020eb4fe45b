"""Alive, ready, and why not."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import orjson
import pytest
import trio.testing
from aiohttp import ClientSession, web
from tests.backends import STEADY_ASYNCIO

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Chunk, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.errors import EngineError
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.observability.health import Health, add_routes, queue_is_full
from frontrunner.runtime.serving.observability.loop_lag import watch_loop_lag

from ..race_harness import WatchedEngine, says, stalls
from .raw_http import listening

LIMIT = 5.0


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """In virtual time, but for what needs a socket."""
    if getattr(request, "param", "virtual") == "asyncio":
        return STEADY_ASYNCIO
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def codes(health: Health) -> list[str]:
    return [fault.code for fault in health.faults()]


async def test_an_engine_that_works_or_rests_is_fine() -> None:
    engine = WatchedEngine([says("1", 20.0, tokens=8), says("1", 40.0, tokens=16)])
    health = Health(engine, LIMIT)
    async with Runtime(engine, observers=[health]) as runtime:
        assert codes(health) == []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: runtime.solve("?", branches=2, deadline=60.0))
            for _ in range(12):
                await anyio.sleep(3.0)
                assert codes(health) == []
        await anyio.sleep(1_000.0)
        assert codes(health) == []


async def test_an_engine_that_gives_no_token_for_too_long_is_not_ready() -> None:
    engine = WatchedEngine([stalls("hm ", after=1.0)])
    health = Health(engine, LIMIT)
    async with Runtime(engine, observers=[health]) as runtime, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: runtime.solve("?", branches=2, deadline=60.0))
        await anyio.sleep(1.0 + LIMIT - 0.1)
        assert codes(health) == []
        await anyio.sleep(0.2)
        assert codes(health) == ["no_progress"]
        assert "5.1 s" in health.faults()[0].message
        tasks.cancel_scope.cancel()


async def test_a_hanging_engine_shows_although_each_race_ends_by_its_deadline() -> None:
    engine = WatchedEngine([stalls()], forced=[stalls()])
    health = Health(engine, LIMIT)
    async with Runtime(engine, observers=[health]) as runtime:
        for _ in range(2):
            await runtime.solve("?", branches=2, deadline=2.0)
            assert codes(health) == []
            await anyio.sleep(100.0)  # nobody asks: that is no silence of the engine's
        await runtime.solve("?", branches=2, deadline=2.0)
        assert codes(health) == ["no_progress"]


async def test_an_engine_that_comes_back_is_ready_again_without_a_race() -> None:
    hangs = True
    answer = BranchScript((Piece(0.1, "x"),))
    engine = WatchedEngine([])
    engine.script.chooser = lambda request: stalls() if hangs else answer
    health = Health(engine, LIMIT)
    async with Runtime(engine, observers=[health]) as runtime, anyio.create_task_group() as tasks:
        tasks.start_soon(health.run)
        await runtime.solve("?", branches=2, deadline=10.0)
        await anyio.sleep(60.0)
        assert codes(health) == ["no_progress"]
        hangs = False
        await anyio.sleep(LIMIT + 5.0)
        assert codes(health) == []
        engine.check_idle()
        asked = len(engine.requests)
        await anyio.sleep(60.0)
        assert len(engine.requests) == asked, "an engine that is fine is left alone"
        tasks.cancel_scope.cancel()


async def test_a_dead_engine_is_not_tried() -> None:
    engine = WatchedEngine([stalls()], dies_at=1.0)
    health = Health(engine, LIMIT)
    async with Runtime(engine, observers=[health]) as runtime, anyio.create_task_group() as tasks:
        tasks.start_soon(health.run)
        await runtime.solve("?", branches=2, deadline=10.0)
        assert codes(health) == ["engine_dead"]
        asked = len(engine.requests)
        await anyio.sleep(60.0)
        assert len(engine.requests) == asked
        assert codes(health) == ["engine_dead"]
        tasks.cancel_scope.cancel()


class Endpoint(WatchedEngine):
    """An engine that nobody can reach for a while, and which forgets it soon."""

    lost = False
    told: EngineError | None = None

    @property
    def failure(self) -> EngineError | None:
        return self.told

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        if self.lost:
            raise EngineError("not reached")
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk


async def test_an_endpoint_that_was_lost_is_ready_by_proof_and_not_by_time() -> None:
    engine = Endpoint([BranchScript((Piece(0.1, "x"),))])
    health = Health(engine, LIMIT)
    async with Runtime(engine, observers=[health]) as runtime, anyio.create_task_group() as tasks:
        tasks.start_soon(health.run)
        engine.lost, engine.told = True, EngineError("not reached")
        await anyio.sleep(1.5)
        engine.told = None  # nobody asks, so nothing fails
        await anyio.sleep(100.0)
        assert codes(health) == ["engine_unreachable"]
        assert health.alive
        engine.lost = False
        await anyio.sleep(2.0)
        assert codes(health) == []
        engine.lost, engine.told = True, EngineError("not reached")
        assert codes(health) == ["engine_unreachable"]
        engine.lost, engine.told = False, None
        assert codes(health) == ["engine_unreachable"]
        await runtime.solve("?", branches=1, deadline=0.5)  # a race is proof as well
        assert codes(health) == []
        tasks.cancel_scope.cancel()


async def test_a_server_that_ends_or_cannot_queue_is_not_ready() -> None:
    engine = WatchedEngine([])
    await engine.start()
    said = {"draining": False, "queue_full": False}
    health = Health(
        engine,
        LIMIT,
        draining=lambda: said["draining"],
        queue_full=lambda: said["queue_full"],
    )
    assert codes(health) == []
    for code in said:
        said[code] = True
        assert codes(health) == [code]
        said[code] = False


async def test_the_queue_is_full_when_its_last_place_is_taken() -> None:
    engine = WatchedEngine([stalls("hm")], max_branches=2)
    settings = Settings.from_dict({"race": {"queue": 1, "branches": 2, "min_branches": 2}})
    async with Runtime(engine, settings) as runtime, anyio.create_task_group() as tasks:
        assert not queue_is_full(runtime)
        for full in (False, True):
            tasks.start_soon(lambda: runtime.solve("?", deadline=60.0))
            await anyio.sleep(0.1)
            assert queue_is_full(runtime) == full
        tasks.cancel_scope.cancel()


async def test_the_loops_lag_is_how_late_it_wakes() -> None:
    lags: list[float] = []
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_loop_lag, lags.append, 1.0)
        await anyio.sleep(1.5)
        clock.jump(3.0)  # as if something held the loop from 1.5 to 4.5
        await anyio.sleep(0.5)
        tasks.cancel_scope.cancel()
    assert lags == [pytest.approx(0.0), pytest.approx(2.5)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_probes_are_answered_in_json_with_the_reasons() -> None:
    engine = WatchedEngine([])
    draining: list[bool] = []
    health = Health(engine, LIMIT, draining=lambda: bool(draining))
    app = web.Application()
    add_routes(app, health)

    async def ask(session: ClientSession, path: str) -> tuple[int, object]:
        async with session.get(path) as response:
            assert response.content_type == "application/json"
            return response.status, orjson.loads(await response.read())

    async with listening(app) as port, ClientSession(f"http://127.0.0.1:{port}") as session:
        assert await ask(session, "/livez") == (200, {"status": "alive"})  # it may yet start
        for path in ("/readyz", "/health"):
            reason = {"code": "engine_dead", "message": "the scripted engine is not running"}
            assert await ask(session, path) == (
                503,
                {"status": "unavailable", "reasons": [reason]},
            )
        await engine.start()
        for path in ("/readyz", "/health"):
            assert await ask(session, path) == (200, {"status": "ready", "reasons": []})
        draining.append(True)
        status, body = await ask(session, "/readyz")
        assert (status, "draining" in str(body)) == (503, True)
        assert await ask(session, "/livez") == (200, {"status": "alive"})
        engine.kill()
        assert (await ask(session, "/readyz"))[0] == 503
        assert await ask(session, "/livez") == (503, {"status": "engine_dead"})
