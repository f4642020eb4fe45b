"""A pool whose member is a router's address: what one of the servers behind it loses, or holds,
goes on at another one. In virtual time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from frontrunner.runtime.config import OpenAISettings
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.engines.protocol import FinishReason

from .replicas import Reading, Replica, Router, Said, ask, pool_of, read


@pytest.fixture(params=[False, True], ids=["read", "fed"], autouse=True)
def _by_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reading, "by_calls", request.param)


def race_at(router: Router, first: int, second: int) -> str:
    """A race that goes to the first of these replicas, and after a loss to the second one."""
    for number in range(10_000):
        name = f"race{number}"
        at = [router.engines.index(router.of(n)) for n in (name, f"{name}-1")]
        if at == [first, second]:
            return name
    raise AssertionError


@asynccontextmanager
async def routed(replicas: int = 3, **settings: float) -> AsyncGenerator[tuple[Router, PoolEngine]]:
    router = Router(*(Replica(**settings) for _ in range(replicas)))  # type: ignore[arg-type]
    async with pool_of({"router": router}) as pool:
        yield router, pool


async def run(
    pool: PoolEngine, name: str, at: float, what: object, branches: int = 4
) -> list[Said]:
    """Run a race, and do something in the middle of it."""
    said = [Said() for _ in range(branches)]
    async with anyio.create_task_group() as tasks:
        for branch, of in enumerate(said):
            tasks.start_soon(read, pool, ask(name, branch, max_tokens=200), of)
        await anyio.sleep(at)
        assert callable(what)
        what()
    return said


@pytest.mark.parametrize("fault", ["kill", "stop"])
async def test_what_a_replica_loses_goes_on_at_another_one(fault: str) -> None:
    async with routed() as (router, pool):
        name = race_at(router, 0, 1)
        first, second, third = router.engines
        before = anyio.current_time()
        said = await run(pool, name, 0.2, getattr(first, fault))
        assert [of.error for of in said] == [None] * 4
        assert all(of.without_gap and of.finish is FinishReason.STOP for of in said)
        assert anyio.current_time() - before < 3.0
        # All of them together, and what continues them later goes there, too.
        assert len([r for r in second.requests if r.race == f"{name}-1"]) == 4
        assert not third.requests
        forced = replace(ask(name, 2), request_id="forced", forced=True)
        await read(pool, forced, Said())
        assert second.requests[-1].request_id == "forced"
        # That one server fails says nothing of the others.
        (member,) = pool.members()
        assert (member.serves, member.trips, member.moved_away) == (True, 0, 4)


@pytest.mark.parametrize("fault", ["kill", "stop"])
async def test_it_goes_where_another_race_is_well(fault: str) -> None:
    async with routed(length=200) as (router, pool):
        name, other = race_at(router, 0, 2), race_at(router, 1, 1)
        said = list[Said]()
        router.engines[2].stop()  # where its next name would lead
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, pool, ask(other, 0, max_tokens=200), Said())
            said = await run(pool, name, 0.2, getattr(router.engines[0], fault))
        assert [of.error for of in said] == [None] * 4
        assert all(of.without_gap and of.finish is FinishReason.STOP for of in said)
        assert len([r for r in router.engines[1].requests if r.race == other]) == 1 + 4
        assert not router.engines[2].requests


async def test_a_replica_that_is_slow_for_one_request_keeps_the_others() -> None:
    async with routed() as (router, pool):
        name, other = race_at(router, 0, 1), race_at(router, 2, 1)
        said, stopped = Said(), list[Said]()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, pool, ask(other, 0), said)
            stopped += await run(pool, name, 0.05, router.engines[0].stop)
        assert said.without_gap
        assert said.error is None
        assert [of.error for of in stopped] == [None] * 4
        assert {r.race for r in router.engines[2].requests} == {other}


async def test_a_router_without_servers_is_given_up_after_some_tries() -> None:
    async with routed(2) as (router, pool):

        def kill_all() -> None:
            for engine in router.engines:
                engine.kill()

        said = await run(pool, "race", 0.1, kill_all)
        assert all(of.error is not None for of in said)
        assert sum(len(engine.requests) for engine in router.engines) <= 4 * (1 + 4)
        (member,) = pool.members()
        assert not member.serves


async def test_an_abort_reaches_the_replica_that_has_it_now() -> None:
    async with routed() as (router, pool):
        name = race_at(router, 0, 1)
        said = Said()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, pool, ask(name, 0), said)
            await anyio.sleep(0.1)
            router.engines[0].kill()
            await anyio.sleep(0.1)
            await pool.abort([f"{name}-b0"])
        assert said.finish is FinishReason.ABORT
        assert [engine.live for engine in router.engines[1:]] == [0, 0]


def test_an_endpoint_with_replicas_is_a_pool_of_one() -> None:
    url = "http://router:8100/v1"
    assert isinstance(make_engine(OpenAISettings(url=url)), OpenAIEngine)
    assert isinstance(make_engine(OpenAISettings(url=url, replicas=3)), PoolEngine)
