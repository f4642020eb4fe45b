"""Tools that do what no tool should, and offers that contradict each other."""

import asyncio
from typing import Any

import anyio
import pytest
from tests.backends import no_tasks_left

from frontrunner import BadRequest, Result, Runtime
from frontrunner.agents import Tool, tool
from frontrunner.events import RaceDecided, ToolCalled
from frontrunner.runtime.agents.tools import MAX_RESULT
from frontrunner.runtime.cli.display.ndjson import event_line
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.strategies.protocol import BranchStatus

from .calling import SETTINGS, CallingEngine, Turns, call, says

MARKUP = '<tool_call>{"name": "work", "arguments": {}}</tool_call>'


async def raced(*tools: Any, turns: Turns | None = None, **options: Any) -> tuple[Result, int]:
    """A race of a branch that calls ``work`` and one that does not; and how many calls it made."""
    engine = CallingEngine([turns or [call("work", {}), says("5")], [says("6")]])
    given: dict[str, Any] = {"deadline": 10.0, "branches": 2, "parameters": {"stop": "none"}}
    calls = 0
    async with (
        no_tasks_left(),
        Runtime(engine, SETTINGS) as runtime,
        runtime.stream("?", tools=tools, **given, **options) as events,
    ):
        async for event in events:
            event_line(event)  # which JSON must be able to say
            calls += isinstance(event, ToolCalled)
            if isinstance(event, RaceDecided):
                return event.result, calls
    raise AssertionError


def returning(result: Any) -> Tool:
    async def work() -> Any:
        """Works."""
        return result

    return Tool(work)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (MARKUP, MARKUP),
        (f"```json\n{MARKUP}\n```\n[work()]", "[work()]"),
        ("雨 🍎 \u202e", "雨 🍎 \u202e"),
        ("a\ud800b", "a?b"),
        ("a\x1db\x00", "a b\x00"),
        ({"a": float("nan")}, '{"a":NaN}'),
        ("x" * 2 * MAX_RESULT, "x (cut:".replace("x ", "x… ")),
        ([0] * MAX_RESULT, "characters in all)"),
        (None, "null"),
        ("", "[work] \n"),
    ],
    ids=[
        *("a call", "calls in blocks", "unicode", "surrogate", "marks", "no number", "huge"),
        *("huge data", "nothing", "empty"),
    ],
)
async def test_whatever_a_result_is_the_branch_goes_on(result: Any, shown: str) -> None:
    """And a call that stands in a result is none."""
    came, calls = await raced(returning(result))
    assert came.votes == {"5": 1, "6": 1}
    assert calls == 1
    assert shown in came.branches[0].text
    assert len(came.branches[0].text) < 2 * MAX_RESULT


@pytest.mark.parametrize("result", [b"\xff", object(), {1: {2, object()}}])
async def test_a_result_that_json_cannot_say_loses_its_branch(result: Any) -> None:
    came, _ = await raced(returning(result))
    assert came.votes == {"6": 1}
    assert "its result is none that JSON can say" in str(came.branches[0].error)


class Odd(BaseException):
    """What no ``except Exception`` catches."""


@pytest.mark.parametrize(
    "error",
    [
        *(SystemExit(3), GeneratorExit(), Odd("odd \ud800"), StopAsyncIteration()),
        BaseExceptionGroup("several", [Odd("one"), ValueError("two")]),
    ],
    ids=repr,
)
async def test_whatever_a_tool_raises_loses_its_branch_alone(error: BaseException) -> None:
    async def work() -> None:
        raise error

    came, _ = await raced(Tool(work))
    assert came.votes == {"6": 1}
    assert f"the tool work raised {type(error).__name__}" in str(came.branches[0].error)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_tool_whose_own_task_was_cancelled_loses_its_branch_alone() -> None:
    """A library may cancel a task of its own and let whoever waits for it hear of that."""

    async def work() -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    engine = CallingEngine([[call("work", {}, 0.01), says("5", 0.01)], [says("6", 0.01)]])
    async with no_tasks_left(), Runtime(engine, SETTINGS, tools=[Tool(work)]) as runtime:
        for _ in range(2):
            came = await runtime.solve("?", branches=2, deadline=60.0, parameters={"stop": "none"})
            assert came.votes == {"6": 1}
            assert came.branches[0].status is BranchStatus.FAILED


async def test_a_tool_that_will_not_be_cancelled_holds_up_no_race() -> None:
    ended: list[float] = []

    async def work() -> str:
        end = anyio.current_time() + 50
        while anyio.current_time() < end:
            try:
                await anyio.sleep(1)
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(1)
        ended.append(anyio.current_time())
        return "late"

    stubborn = Tool(work, timeout=1.0)
    engine = CallingEngine([[call("work", {}), says("5")], [says("6", 2.0)]])
    engine.script.forced = (BranchScript((Piece(0.01, "7}"),)),)
    began = anyio.current_time()
    async with no_tasks_left(), Runtime(engine, SETTINGS, tools=[stubborn]) as runtime:
        for _ in range(3):
            asked = anyio.current_time()
            came = await runtime.solve("?", branches=2, deadline=5.0, parameters={"stop": "none"})
            assert anyio.current_time() - asked <= 5.0
            assert came.answer in ("6", "7")
        assert not ended
        await anyio.sleep(50.0)
    assert ended[0] - began <= 55.0


async def test_two_races_share_the_limit_of_a_tool() -> None:
    running = most = 0

    async def work(x: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await anyio.sleep(1.0)
        finally:
            running -= 1
        return x

    shared = Tool(work, concurrency=2)
    branches = [[call("work", {"x": n}), says("5")] for n in range(3)]
    engine = CallingEngine(branches, branches)
    async with Runtime(engine, SETTINGS, tools=[shared]) as runtime:
        results: list[Result] = []

        async def race() -> None:
            results.append(
                await runtime.solve("?", branches=3, deadline=30.0, parameters={"stop": "none"})
            )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(race)
            tasks.start_soon(race)
    assert most == 2
    assert [result.votes for result in results] == [{"5": 3}, {"5": 3}]
    # Six executions, two at a time, behind a second of writing.
    assert max(result.elapsed for result in results) == pytest.approx(5.0)


@pytest.mark.parametrize(
    "schema",
    [
        *({"type": "nonsense"}, {"type": 5}, {"$ref": "http://localhost:9/x"}, {"$ref": "#/no"}),
        *({"properties": 7}, {"required": "x"}, {"properties": {"x": {"pattern": "("}}}),
    ],
    ids=repr,
)
async def test_a_schema_that_is_none_asks_for_nothing(schema: dict[str, Any]) -> None:
    async def work(arguments: Any) -> str:
        return str(arguments)

    made = Tool.of_schema(work, schema, name="work")
    came, _ = await raced(made, turns=[call("work", {"x": "1"}), says("5")])
    assert came.votes == {"5": 1, "6": 1}
    assert "{'x': '1'}" in came.branches[0].text


def plain(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def named(name: str) -> dict[str, str]:
    return {"type": "function", "name": name}


async def test_a_tool_is_not_called_as_one_that_is_run_elsewhere() -> None:
    with pytest.raises(BadRequest, match="two called 'work'"):
        await raced(returning("x"), plain("work"))


@pytest.mark.parametrize(
    ("choice", "answer", "calls"),
    [
        (None, "5", 1),
        ("auto", "5", 1),
        ("none", None, 0),
        ("required", '{"arguments":{},"name":"work"}', 0),
        ({"type": "function", "function": {"name": "work"}}, '{"arguments":{},"name":"work"}', 0),
        ({"type": "allowed_tools", "mode": "auto", "tools": [named("work")]}, "5", 1),
        ({"type": "allowed_tools", "mode": "auto", "tools": [named("other")]}, None, 0),
    ],
)
async def test_a_choice_of_tools_says_which_are_run(
    choice: Any, answer: str | None, calls: int
) -> None:
    """None at all, the call as the answer, or those that are allowed."""
    came, made = await raced(returning("x"), plain("other"), tool_choice=choice)
    assert (came.branches[0].answer, made) == (answer, calls)


@pytest.mark.parametrize(("several", "ran"), [(None, [1, 2]), (True, [1, 2]), (False, [1])])
async def test_of_several_calls_in_a_turn_all_run_or_the_first(
    several: bool | None, ran: list[int]
) -> None:
    seen: list[int] = []

    @tool
    async def work(x: int) -> int:
        seen.append(x)
        return x

    both = "".join(
        f'<tool_call>{{"name": "work", "arguments": {{"x": {x}}}}}</tool_call>' for x in (1, 2)
    )
    turn = BranchScript((Piece(1.0, both),))
    came, calls = await raced(work, turns=[turn, says("5")], parallel_tool_calls=several)
    assert sorted(seen) == ran
    assert calls == len(ran)
    assert came.votes == {"5": 1, "6": 1}
