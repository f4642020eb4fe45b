"""Tools inside branches that run on a pool."""

from dataclasses import replace

import anyio
import pytest

from frontrunner import Runtime
from frontrunner.agents import tool
from frontrunner.runtime.config.engine import OpenAISettings
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.engines.protocol import Generation, takes_tool_turns
from frontrunner.runtime.engines.scripted import BranchScript
from frontrunner.strategies.protocol import BranchStatus

from .calling import SETTINGS, CallingEngine, call, says


class Member(CallingEngine):
    """Plays the turn that a request is for also where it has come from another member."""

    def _choose(self, request: Generation) -> BranchScript | None:
        name = request.request_id.partition("-moved")[0]
        return super()._choose(replace(request, request_id=name))


def member() -> Member:
    return Member([[call("look", {"where": "x"}), says("42")]])


@pytest.mark.parametrize("killed_at", [None, 0.7, 2.0, 4.5])
async def test_branches_go_on_with_results_on_whatever_member(killed_at: float | None) -> None:
    """The engine may die while they write the call, while the tool runs, or behind it."""
    runs = list[str]()

    @tool
    async def look(where: str) -> str:
        """Looks."""
        runs.append(where)
        await anyio.sleep(3.0)
        return "nothing"

    members = {"a": member(), "b": member()}
    async with (
        Runtime(PoolEngine(members), SETTINGS, tools=[look]) as runtime,
        anyio.create_task_group() as tasks,
    ):

        async def kill() -> None:
            if killed_at is not None:
                await anyio.sleep(killed_at)
                next(m for m in members.values() if m.requests).kill()

        tasks.start_soon(kill)
        result = await runtime.solve("?", deadline=30.0, branches=3, parameters={"stop": "none"})
        assert [branch.status for branch in result.branches] == [BranchStatus.FINISHED] * 3
        assert result.votes == {"42": 3}
        assert runs == ["x"]


def test_a_pool_takes_results_where_all_of_its_members_do() -> None:
    remote = OpenAIEngine(OpenAISettings(kind="openai", url="http://localhost:9/v1"))
    assert takes_tool_turns(PoolEngine({"a": member(), "b": member()}))
    assert not takes_tool_turns(PoolEngine({"a": member(), "b": remote}))
