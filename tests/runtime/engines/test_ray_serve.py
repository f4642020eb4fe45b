"""The engine over a handle of Ray Serve, on a handle with the same habits; that it is an engine
shows the conformance suite."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec

import anyio
import pytest

from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.engines.protocol import FinishReason, Generation, Sampling
from frontrunner.runtime.engines.ray_serve import RayServeEngine, over_handle
from frontrunner.runtime.engines.vllm.start import model_folder
from frontrunner.runtime.errors import ConfigError, EngineClosed, EngineError, EngineStartError
from frontrunner.runtime.serving.ray_serve import engines, servers

from ...backends import until
from .fake_ray import FakeHandle
from .replicas import PROMPT, Replica

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed"
)
ASKED = Generation("r-b0", PROMPT, 1_000, Sampling(), race="r")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def engine_on(replica: Replica) -> AsyncGenerator[tuple[RayServeEngine, FakeHandle], None]:
    await replica.start()
    handle = FakeHandle(replica)
    engine = RayServeEngine(handle, model_folder("demo"), replicas=3)
    await engine.start()
    try:
        yield engine, handle
    finally:
        await engine.aclose()
        await replica.aclose()


async def test_whoever_leaves_ends_the_replicas_work() -> None:
    replica = Replica(delay=0.001, length=100_000)
    async with engine_on(replica) as (engine, _):
        async with aclosing(engine.generate(ASKED)) as chunks:
            await anext(chunks)
            assert replica.live == 1
        await until(lambda: replica.live == 0)
        with anyio.CancelScope() as scope:
            async with aclosing(engine.generate(replace(ASKED, request_id="other"))) as chunks:
                async for _ in chunks:
                    scope.cancel()
        assert scope.cancelled_caught
        await until(lambda: replica.live == 0)
        assert engine.load().running == 0


async def test_an_abort_ends_the_stream_as_one() -> None:
    replica = Replica(delay=0.001, length=100_000)
    async with engine_on(replica) as (engine, _), aclosing(engine.generate(ASKED)) as chunks:
        await anext(chunks)
        await engine.abort([ASKED.request_id, "nobody"])
        finishes = [chunk.finish async for chunk in chunks]
        assert finishes[-1] is FinishReason.ABORT
        await until(lambda: replica.live == 0)


async def test_requests_carry_their_race_and_no_time_of_this_machine() -> None:
    replica = Replica(delay=0.0, length=3)
    async with engine_on(replica) as (engine, handle):
        assert engine.info.max_branches == 3 * replica.info.max_branches
        async for _ in engine.generate(replace(ASKED, deadline=12.0)):
            pass
        assert handle.sessions[-1] == "r"
        assert replica.requests[-1] == ASKED


async def test_a_replica_that_is_lost_is_an_engine_error() -> None:
    replica = Replica(delay=0.001, length=100_000)
    async with engine_on(replica) as (engine, _):

        async def read_on() -> None:
            async for _ in engine.generate(ASKED):
                replica.kill()

        with pytest.raises(EngineError, match="the replica was lost: EngineDead") as caught:
            await read_on()
        assert type(caught.value) is EngineError  # the others live on
        assert engine.failure is None


async def test_a_deployment_that_is_not_there() -> None:
    replica = Replica()  # not started
    handle = FakeHandle(replica)
    replica.script.dies_at = 0.0

    def fails() -> None:
        raise RuntimeError("first\nno such deployment")

    handle.info = type("Remote", (), {"remote": staticmethod(fails)})  # type: ignore[assignment]
    with pytest.raises(EngineStartError, match="RuntimeError: no such deployment"):
        await RayServeEngine(handle, model_folder("demo"), replicas=1).start()


async def test_a_deployment_whose_replica_generates_nothing() -> None:
    replica = Replica(delay=0.001, length=100)
    await replica.start()
    engine = RayServeEngine(FakeHandle(replica), model_folder("demo"), replicas=1)
    replica.kill()
    with pytest.raises(EngineStartError, match="generates nothing: the replica was lost"):
        await engine.start()
    assert isinstance(engine.failure, EngineClosed)
    await replica.aclose()


def test_over_a_handle_it_is_a_pool() -> None:
    assert isinstance(over_handle(FakeHandle(Replica()), "tokenizer", replicas=3), PoolEngine)


def test_without_ray_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray.serve", None)
    for make in (servers, engines):
        with pytest.raises(ConfigError, match=r"pip install 'frontrunner\[ray\]'"):
            make(config={"answers": {"workers": 0}})
