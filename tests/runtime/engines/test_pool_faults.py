"""Races on a pool of three endpoints that keep vLLM's protocol, on real sockets: one is killed, one
stopped, one slowed. No race fails, and none is late. Time is virtual, so that both are certain."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from aiohttp import web

from frontrunner.runtime.config import OpenAISettings, Settings
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.errors import EngineStartError
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.observability.metrics import Metrics

from ...backends import until, virtual_asyncio
from .fake_endpoint import FakeEndpoint, endpoint

pytestmark = virtual_asyncio

DEADLINE = 3.0  # seconds
NAMES = ("a", "b", "c")


@dataclass
class Server:
    """An endpoint that can be stopped and slowed, as a process can."""

    fake: FakeEndpoint
    going: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.going.set()
        self.fake.fault = lambda body, number: self._hold
        self._write = self.fake.write
        self.fake.write = self._written

    def _written(self, position: int) -> str:
        return "\\boxed{4} " if position % 10 == 9 else f"w{position} "

    async def _hold(self, request: web.Request, response: Any) -> None:
        await self.going.wait()

    def stop(self) -> None:
        self.going = anyio.Event()

    def go_on(self) -> None:
        self.going.set()


@asynccontextmanager
async def three(**more: Any) -> AsyncGenerator[tuple[dict[str, Server], Runtime], None]:
    async with AsyncExitStack() as stack:
        servers: dict[str, Server] = {}
        for name in NAMES:
            fake = await stack.enter_async_context(endpoint(delay=0.02, length=lambda prompt: 40))
            servers[name] = Server(fake)
        members = [
            {"kind": "openai", "name": n, "url": s.fake.url, "max_branches": 48}
            for n, s in servers.items()
        ]
        settings = Settings.from_dict(
            {
                "engine": {"kind": "pool", "members": members, **more},
                "answers": {"workers": 0},
                "sampling": {"max_tokens": 60},
                "race": {"return_margin": 0.05, "branches": 4},
            }
        )
        runtime = Runtime(make_engine(settings.engine, settings.prompt), settings)
        yield servers, await stack.enter_async_context(runtime)


async def race_beside(runtime: Runtime, count: int, *, every: float) -> list[Result]:
    """Races that begin one after the other, whatever becomes of the others."""
    results: list[Result] = []

    async def one(number: int) -> None:
        await anyio.sleep(number * every)
        asked = f"What is {number} + {number}?"
        results.append(await runtime.solve(asked, deadline=DEADLINE, parameters={"stop": "none"}))

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(one, number)
    return results


def check(results: list[Result]) -> None:
    assert all(result.answer == "4" for result in results)
    assert all(result.elapsed <= DEADLINE for result in results)


@pytest.mark.parametrize("fault", ["killed", "stopped", "slowed", "all three"])
async def test_no_race_fails_and_none_is_late(fault: str) -> None:
    async with three() as (servers, runtime):
        results: list[Result] = []

        async def load() -> None:
            results.extend(await race_beside(runtime, 12, every=0.3))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load)
            await anyio.sleep(1.0)
            if fault in ("killed", "all three"):
                await servers["a"].fake.stop()
            if fault in ("stopped", "all three"):
                servers["b"].stop()
            if fault in ("slowed", "all three"):
                servers["c"].fake.delay *= 2
            await anyio.sleep(1.5)
            servers["b"].go_on()
        assert len(results) == 12
        check(results)
        await until(lambda: all(server.fake.running == 0 for server in servers.values()))
        assert runtime.load().running == 0


async def test_a_replica_that_was_stopped_takes_races_again() -> None:
    async with three() as (servers, runtime):
        check(await race_beside(runtime, 3, every=0.0))
        for server in servers.values():
            if server is not servers["a"]:
                server.stop()
        check(await race_beside(runtime, 2, every=0.1))
        engine = runtime.engine
        assert isinstance(engine, PoolEngine)
        for server in servers.values():
            server.go_on()
        await anyio.sleep(10)
        assert all(member.serves for member in engine.members())
        asked = {name: len(server.fake.asked) for name, server in servers.items()}
        check(await race_beside(runtime, 6, every=0.0))
        assert all(len(server.fake.asked) > asked[name] for name, server in servers.items())


async def test_a_race_keeps_to_one_server_and_is_named_to_it() -> None:
    async with three() as (servers, runtime):
        for server in servers.values():
            server.fake.headers.clear()
        check(await race_beside(runtime, 6, every=0.1))
        sessions = [{h["x-session-id"] for h in s.fake.headers} for s in servers.values()]
        assert sum(len(found) for found in sessions) == 6
        assert len(set[str]().union(*sessions)) == 6


async def test_the_metrics_tell_of_members_by_name_and_of_no_host() -> None:
    async with three() as (servers, runtime):
        metrics = Metrics()
        metrics.read_load(runtime)
        await servers["b"].fake.stop()
        await race_beside(runtime, 4, every=0.0)
        await until(lambda: runtime.engine.slots == 96)  # type: ignore[attr-defined]
        said = metrics.exposition()[0].decode()
        assert metrics.value("frontrunner_member_ready", member="a") == 1.0
        assert metrics.value("frontrunner_member_ready", member="b") == 0.0
        assert metrics.value("frontrunner_member_slots", member="c") == 48.0
        assert "127.0.0.1" not in said
        assert runtime.engine.failure is None
        for name in ("a", "c"):
            await servers[name].fake.stop()
        await race_beside(runtime, 2, every=0.0)
        failure = str(runtime.engine.failure)
        assert all(f"{name}: " in failure for name in NAMES)
        assert "127.0.0.1" not in failure


# ── odd members ───────────────────────────────────────────────────────────────────────────────


async def _html(request: web.Request, response: Any) -> web.StreamResponse | None:
    return web.Response(text="<html><body>Welcome!</body></html>", content_type="text/html")


async def _busy(request: web.Request, response: Any) -> web.StreamResponse | None:
    return web.Response(status=429, text="later", headers={"Retry-After": "2"})


@pytest.mark.parametrize("fault", [_html, _busy], ids=["a page", "busy"])
async def test_a_member_that_answers_something_else_costs_its_requests_a_moment(fault: Any) -> None:
    async with three() as (servers, runtime):
        check(await race_beside(runtime, 3, every=0.0))
        servers["a"].fake.fault = lambda body, number: fault
        results = await race_beside(runtime, 12, every=0.1)
        check(results)
        # An answer takes 0.8 s: nobody waited for as long as that member asked for.
        assert max(result.elapsed for result in results) < 2.0
        assert all(branch.error is None for result in results for branch in result.branches)


async def test_all_members_gone_and_back() -> None:
    async with three() as (servers, runtime):
        check(await race_beside(runtime, 3, every=0.0))
        ports = {name: server.fake.port for name, server in servers.items()}
        for server in servers.values():
            await server.fake.stop()
        lost = await race_beside(runtime, 2, every=0.0)
        assert all(result.answer is None and result.elapsed <= DEADLINE for result in lost)
        assert runtime.engine.failure is not None
        for name, server in servers.items():
            server.fake.__post_init__()
            await server.fake.start(ports[name])
        await anyio.sleep(20)
        assert runtime.engine.failure is None
        check(await race_beside(runtime, 6, every=0.1))


async def test_a_member_is_drained_while_races_give_forced_answers() -> None:
    async with three() as (servers, runtime):
        for server in servers.values():
            server.fake.length = lambda prompt: 1_000
        engine = runtime.engine
        assert isinstance(engine, PoolEngine)
        results: list[Result] = []

        async def load() -> None:
            results.extend(await race_beside(runtime, 6, every=0.0))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load)
            await anyio.sleep(1.0)
            assert await engine.drain("a", DEADLINE)
        assert all(result.elapsed <= DEADLINE for result in results)
        assert all(branch.error is None for result in results for branch in result.branches)
        assert next(m for m in engine.members() if m.name == "a").running == 0


async def test_a_server_that_speaks_no_tls() -> None:
    async with endpoint() as fake:
        settings = OpenAISettings(url=fake.url.replace("http:", "https:"))
        with pytest.raises(EngineStartError, match=r"no TLS with it \(WRONG_VERSION_NUMBER\)"):
            await make_engine(settings).start()
