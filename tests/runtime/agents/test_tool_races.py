"""Races whose branches run tools on their way."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends import no_tasks_left, run_virtual, until
from tests.profiles import examples

from frontrunner import BadRequest, Result, Runtime, Settings
from frontrunner.agents import Tool, ToolError, tool
from frontrunner.events import BranchEnded, Event, RaceDecided, ToolCalled, ToolReturned
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.strategies.protocol import BranchStatus, StopReason

from .calling import SETTINGS, CallingEngine, call, says

ALL = {"stop": "none"}


@tool
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    await anyio.sleep(0.5)
    return a + b


async def raced(
    engine: CallingEngine, *tools: Any, **options: Any
) -> tuple[Result, Sequence[Event]]:
    given: dict[str, Any] = {"deadline": 20.0, "branches": 4, "parameters": ALL, **options}
    seen: list[Event] = []
    async with (
        no_tasks_left(),
        Runtime(engine, SETTINGS) as runtime,
        runtime.stream("What is it?", tools=tools, **given) as events,
    ):
        async for event in events:
            seen.append(event)  # noqa: PERF401
    assert isinstance(seen[-1], RaceDecided)
    assert engine.load().running == 0
    return seen[-1].result, seen


async def test_a_branch_goes_on_from_its_exact_tokens_with_the_result() -> None:
    engine = CallingEngine([[call("add", {"a": 1, "b": 2}), says("3")]])
    result, _ = await raced(engine, add, branches=1)
    assert (result.answer, result.elapsed) == ("3", pytest.approx(2.5))
    first, second = engine.requests
    assert second.prompt[: len(first.prompt) + 2] == (*first.prompt, 0, 1)
    assert second.prompt[len(first.prompt) + 2 :] == engine.encode("3")
    assert second.max_tokens == first.max_tokens - 3
    assert second.request_id == f"{first.request_id}-t1"
    assert result.branches[0].tokens == 5
    assert "[add] 3" in result.text


async def test_equal_calls_of_siblings_are_one_execution() -> None:
    ran: Counter[int] = Counter()

    @tool
    async def look(at: int) -> str:
        ran[at] += 1
        await anyio.sleep(1.0)
        return str(at)

    # The third asks when the answer is there already; the fourth asks something else.
    engine = CallingEngine(
        [
            [call("look", {"at": 1}), says("1")],
            [call("look", '{ "at":1 }', 1.5), says("1")],
            [call("look", {"at": 1}, 3.0), says("1")],
            [call("look", {"at": 2}), says("1")],
        ]
    )
    result, seen = await raced(engine, look)
    assert ran == {1: 1, 2: 1}
    assert result.votes == {"1": 4}
    called = [event for event in seen if isinstance(event, ToolCalled)]
    assert {event.branch: event.shared for event in called} == {
        0: False,
        3: False,
        1: True,
        2: True,
    }
    returned = [event for event in seen if isinstance(event, ToolReturned)]
    assert {event.branch: event.seconds for event in returned} == {
        0: pytest.approx(1.0),
        3: pytest.approx(1.0),
        1: pytest.approx(0.5),
        2: 0.0,
    }
    assert sorted(event.call for event in returned) == [1, 2, 3, 4]
    assert {event.outcome for event in returned} == {"returned"}


async def test_a_call_dies_with_the_last_branch_that_waits_for_it() -> None:
    cancelled: list[float] = []

    @tool(timeout=100.0)
    async def hang() -> str:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(anyio.current_time())
        return ""

    hung = [call("hang", {})]
    engine = CallingEngine([hung, hung, [says("7", 3.0)], [says("7", 4.0)], [says("7", 5.0)]])
    began = anyio.current_time()
    result, seen = await raced(engine, hang, branches=5, parameters={"stop": "clinch"})
    assert (result.answer, result.stop_reason) == ("7", StopReason.CLINCHED)
    assert cancelled == [pytest.approx(began + 5.0)]
    outcomes = [event.outcome for event in seen if isinstance(event, ToolReturned)]
    assert outcomes == ["cancelled", "cancelled"]


async def test_a_race_whose_tools_hang_ends_by_its_deadline_and_leaves_nothing() -> None:
    @tool(timeout=1000.0)
    async def hang() -> str:
        await anyio.sleep_forever()
        return ""

    engine = CallingEngine([[call("hang", {})]])
    engine.script.forced = (BranchScript((Piece(0.01, "5}"),)),)
    result, _ = await raced(engine, hang, deadline=5.0)
    assert result.elapsed <= 5.0
    assert (result.answer, result.stop_reason) == ("5", StopReason.DEADLINE)


async def test_a_tool_that_raises_loses_its_branch_only() -> None:
    @tool
    async def picky(x: int) -> str:
        if x == 1:
            raise ZeroDivisionError("no")
        return str(x)

    engine = CallingEngine(
        [[call("picky", {"x": 1}), says("1")], [call("picky", {"x": 2}), says("2")]]
    )
    result, seen = await raced(engine, picky)
    assert result.votes == {"2": 2}
    lost = [event for event in seen if isinstance(event, BranchEnded) and event.branch in (0, 2)]
    assert {event.status for event in lost} == {BranchStatus.FAILED}
    assert {event.reason for event in lost} == {"the tool picky raised ZeroDivisionError: no"}


async def test_what_a_tool_says_of_its_arguments_the_model_may_mend() -> None:
    @tool
    async def strict(x: int) -> str:
        raise ToolError("only on Sundays")

    engine = CallingEngine([[call("strict", {"x": 1}), says("4")]])
    result, seen = await raced(engine, strict, branches=1)
    assert result.answer == "4"
    assert engine.requests[1].prompt[-4:] == engine.encode("Error: only on Sundays")
    assert [e.outcome for e in seen if isinstance(e, ToolReturned)] == ["refused"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (call("add", '{"a": 1'), "could not be read"),
        (call("subtract", {"a": 1}), "there is no tool 'subtract'; there are add"),
        (call("add", {"a": "one", "b": 2}), "do not satisfy the schema of add"),
    ],
)
async def test_a_malformed_call_goes_back_once_and_then_loses_its_branch(
    broken: BranchScript, said: str
) -> None:
    engine = CallingEngine([[broken, says("3")], [broken, broken, says("3")], [says("3")]])
    result, seen = await raced(engine, add, branches=3)
    assert result.votes == {"3": 2}
    told = {r.branch for r in engine.requests if r.request_id.endswith("-t1")}
    assert told == {0, 1}
    assert not [r for r in engine.requests if r.request_id.endswith("-t2")]
    (lost,) = [e for e in seen if isinstance(e, BranchEnded) and e.status is BranchStatus.FAILED]
    assert lost.branch == 1
    assert said in str(lost.reason)


async def test_it_calls_no_more_often_than_it_may() -> None:
    engine = CallingEngine([[call("add", {"a": 1, "b": 2}, 0.1)]])
    settings = SETTINGS.model_copy(
        update={"race": SETTINGS.race.model_copy(update={"max_tool_turns": 3})}
    )
    async with Runtime(engine, settings, tools=[add]) as runtime:
        result = await runtime.solve("?", branches=1, deadline=60.0)
    assert "more than 3 times" in str(result.branches[0].error)
    assert len(engine.requests) == 4


async def test_several_calls_of_a_turn_run_at_the_same_time() -> None:
    both = BranchScript(
        (
            Piece(
                1.0,
                '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>\n'
                '<tool_call>{"name": "add", "arguments": {"a": 3, "b": 4}}</tool_call>',
            ),
        )
    )
    engine = CallingEngine([[both, says("10")]])
    result, _ = await raced(engine, add, branches=1)
    assert result.elapsed == pytest.approx(2.5)
    assert "[add] 3\n[add] 7" in result.text


async def test_only_what_is_said_after_the_last_result_is_the_answer() -> None:
    hasty = BranchScript(
        (
            Piece(0.5, "It may be \\boxed{9}. "),
            Piece(0.5, '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'),
        )
    )
    silent = BranchScript((Piece(1.0, "I do not know."),))
    engine = CallingEngine([[hasty, silent], [hasty, says("3")]])
    result, _ = await raced(engine, add, branches=2, deadline=10.0)
    assert result.votes == {"3": 1}


async def test_a_call_of_another_tool_ends_its_branch_and_is_the_answer() -> None:
    other = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}

    @tool(side_effects=True)
    async def pay(amount: int) -> str:
        raise AssertionError("solve runs nothing that has side effects")

    engine = CallingEngine(
        [
            [call("add", {"a": 1, "b": 2}), call("book", {"room": 3})],
            [call("pay", {"amount": 3})],
            [call("book", {"room": 3})],
        ]
    )
    result, _ = await raced(engine, add, pay, other, branches=3)
    book = '{"arguments":{"room":3},"name":"book"}'
    assert result.answer == book
    assert result.votes == {book: 2, '{"arguments":{"amount":3},"name":"pay"}': 1}


async def test_where_a_call_is_demanded_it_is_the_answer() -> None:
    engine = CallingEngine([[call("add", {"a": 1, "b": 2})]])
    result, _ = await raced(engine, add, tool_choice="required")
    assert result.answer == '{"arguments":{"a":1,"b":2},"name":"add"}'


async def test_tools_of_a_runtime_are_for_races_that_are_given_none() -> None:
    engine = CallingEngine([[call("add", {"a": 1, "b": 2}), says("3")]])
    async with Runtime(engine, SETTINGS, tools=[add]) as runtime:
        assert (await runtime.solve("?", branches=1, deadline=9.0)).answer == "3"
        result = await runtime.solve("?", branches=1, deadline=9.0, tools=[], answers="tool_call")
        assert result.answer == '{"arguments":{"a":1,"b":2},"name":"add"}'
        twin = Tool(add._function, name="add")
        with pytest.raises(BadRequest, match="two called 'add'"):
            await runtime.solve("?", tools=[add, twin])


async def test_leaving_the_runtime_ends_calls() -> None:
    running = 0

    @tool(timeout=1000.0)
    async def hang() -> str:
        nonlocal running
        running += 1
        try:
            await anyio.sleep_forever()
        finally:
            running -= 1
        return ""

    engine = CallingEngine([[call("hang", {})]])
    async with no_tasks_left(), anyio.create_task_group() as tasks:
        async with Runtime(engine, SETTINGS, tools=[hang]) as runtime:

            async def ask() -> None:
                await runtime.solve("?", branches=4, deadline=500.0)

            tasks.start_soon(ask)
            await until(lambda: running == 1)
        tasks.cancel_scope.cancel()
    assert running == 0


# ── at random ─────────────────────────────────────────────────────────────────────────────────

KINDS = ("quick", "slow", "hanging", "raising", "refusing", "broken", "stubborn")


class Workshop:
    """A tool that does all that tools do, and knows what of it runs."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.ran: Counter[str] = Counter()
        self.tool = Tool(self.work, timeout=3.0, concurrency=3)

    async def work(self, kind: str, number: int) -> str:
        """Works."""
        key = f"{kind} {number}"
        assert not self.running[key], "equal calls are one execution"
        self.running[key] += 1
        self.ran[key] += 1
        try:
            match kind:
                case "slow":
                    await anyio.sleep(1 + number)
                case "hanging":
                    await anyio.sleep_forever()
                case "raising":
                    await anyio.sleep(0.5)
                    raise ValueError(kind)
                case "refusing":
                    raise ToolError(kind)
                case "stubborn":
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(0.25)
                case _:
                    await anyio.sleep(0.1)
        finally:
            self.running[key] -= 1
        return key


def a_turn(rng: Random) -> BranchScript:
    kind, seconds = rng.choice(KINDS), rng.choice((0.1, 0.5, 1.0))
    if kind == "broken":
        return call("work", '{"kind": ', seconds)
    return call("work", {"kind": kind, "number": rng.randrange(2)}, seconds)


def cancelled_at_random(seed: int) -> Result | None:
    rng = Random(seed)
    turns = [
        [*(a_turn(rng) for _ in range(rng.randrange(3))), says(str(rng.randrange(2)), 0.5)]
        for _ in range(rng.randint(1, 5))
    ]
    workshop, engine = Workshop(), CallingEngine(turns)
    results: list[Result] = []

    async def run() -> None:
        async with no_tasks_left():
            async with Runtime(engine, SETTINGS, tools=[workshop.tool]) as runtime:
                with anyio.move_on_after(rng.choice((0.0, rng.uniform(0, 6.0), 100.0))):
                    result = await runtime.solve(
                        "?",
                        branches=len(turns),
                        deadline=rng.choice((1.0, 3.0, 8.0)),
                        parameters={"stop": rng.choice(("none", "clinch", "flip_risk"))},
                    )
                    assert result.elapsed <= result.deadline + 1e-9
                    results.append(result)
                await anyio.sleep(0.3)  # what will not be cancelled has its time
                assert not +workshop.running
                assert engine.load().running == 0
            assert not +workshop.running

    run_virtual(run)
    return results[0] if results else None


@settings(max_examples=examples(1000))
@given(st.integers(0, 10**9))
def test_whenever_it_is_cancelled_nothing_is_left(seed: int) -> None:
    cancelled_at_random(seed)


def test_some_of_these_races_are_decided_and_some_are_not() -> None:
    results = [cancelled_at_random(seed) for seed in range(100)]
    decided = [result for result in results if result is not None]
    assert 10 < len(decided) < 90


def test_settings_say_how_often_tools_may_be_called() -> None:
    with pytest.raises(Exception, match="max_tool_turns"):
        Settings.from_dict({"race": {"max_tool_turns": 0}})
