"""A pool whose members are engines that are started again when they die."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.engines.scripted import BranchScript
from frontrunner.runtime.engines.supervised import SupervisedEngine
from frontrunner.runtime.errors import EngineRestarting
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.observability.health import Health
from frontrunner.strategies.protocol import BranchStatus

from ..race_harness import says, stalls
from .replicas import Replica
from .test_supervised import LIMITS, START, Engines

VOTE = {"stop": "none"}


@asynccontextmanager
async def pooled(*made: Engines) -> AsyncGenerator[tuple[Runtime, PoolEngine], None]:
    members = {str(i): SupervisedEngine(engines, LIMITS) for i, engines in enumerate(made)}
    pool = PoolEngine(members)
    async with Runtime(pool) as runtime:
        yield runtime, pool
    assert all(engine.closed for engines in made for engine in engines.made)


async def test_what_ran_on_a_killed_member_goes_on_elsewhere_and_it_comes_back() -> None:
    first, second = Engines([says("1", 2.0)]), Engines([says("1", 2.0)])
    async with pooled(first, second) as (runtime, pool), anyio.create_task_group() as tasks:

        async def kill() -> None:
            await anyio.sleep(1.0)
            (first if first.made[0].requests else second).made[0].kill()

        tasks.start_soon(kill)
        result = await runtime.solve("?", deadline=30.0, branches=4, parameters=VOTE)
        assert [b.status for b in result.branches] == [BranchStatus.FINISHED] * 4
        assert pool.failure is None
        assert sum(member.serves for member in pool.members()) == 1
        # Once it runs again it need only prove it: the pauses do not grow while it starts.
        await anyio.sleep(START + 1.0)
        assert all(member.serves for member in pool.members())
        assert pool.restarts == 1


async def test_while_all_members_start_again_races_are_told_when_to_come_back() -> None:
    first, second = Engines([says("1", 1.0)]), Engines([says("1", 1.0)])
    async with pooled(first, second) as (runtime, pool):
        first.made[0].kill()
        await anyio.sleep(1.0)
        second.made[0].kill()
        for _ in range(2):  # before the next look, and after it
            with pytest.raises(EngineRestarting, match="no member of the pool serves") as refused:
                await runtime.solve("?", deadline=30.0)
            assert 1.0 <= refused.value.retry_after <= START
            assert [fault.code for fault in Health(pool, 5.0).faults()] == ["engine_restarting"]
            await anyio.sleep(0.5)
        await anyio.sleep(START)
        assert (await runtime.solve("?", deadline=30.0)).answer == "1"


class Hanging(Replica):
    """Hears nothing any more, aborts included, from the first forced answer on."""

    def _choose(self, request: Generation) -> BranchScript:
        if request.forced:
            self.stop()
        return super()._choose(request)


async def test_a_member_that_hangs_as_forced_answers_begin_costs_no_deadline() -> None:
    members = {"a": Hanging(delay=0.05, length=10_000), "b": Hanging(delay=0.05, length=10_000)}
    async with Runtime(PoolEngine(members)) as runtime:
        result = await runtime.solve("?", deadline=3.0, branches=4, parameters=VOTE)
        assert result.elapsed <= 3.0
        assert all(not branch.status.active for branch in result.branches)
        for member in members.values():
            member.go_on()
        # What the engine could not be told when the race ended, it is told beside the next one.
        await runtime.solve("?", deadline=3.0, branches=1, answers="text", max_tokens=4)
        await anyio.sleep(5.0)
        assert sum(member.live for member in members.values()) == 0


async def test_a_member_that_does_not_start_again_may_leave_at_once() -> None:
    """It leaves no start behind, and its leaving waits for no pause between two of them."""
    failing, other = Engines([stalls()], failing=range(1, 99)), Engines([says("1", 1.0)])
    async with pooled(failing, other) as (_, pool):
        failing.made[0].kill()
        await anyio.sleep(2 * START + 2.0)  # in the second pause, or the third start
        began = anyio.current_time()
        await pool.leave("0")
        assert anyio.current_time() - began <= 1.0
        made = len(failing.made)
        await anyio.sleep(100.0)
        assert len(failing.made) == made
