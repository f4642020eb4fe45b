"""Calls that are decided for run once, whatever becomes of who asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends import no_tasks_left, run_virtual, until
from tests.profiles import examples

from frontrunner import BadRequest, RawPrompt, Runtime
from frontrunner.agents import Acted, Tool, ToolError, tool
from frontrunner.events import Event, Observer, RaceDecided, RaceSpec, RaceWatcher
from frontrunner.runtime.answers.combined import read_calls
from frontrunner.runtime.engines.protocol import Chunk, Generation
from frontrunner.runtime.engines.scripted import BranchScript
from frontrunner.runtime.errors import EngineClosed, EngineError, EngineRestarting
from frontrunner.runtime.result import Result
from frontrunner.strategies.protocol import StopReason

from .calling import SETTINGS, CallingEngine, Turns, call, fails, says

ALL = {"stop": "none"}


class Ledger:
    """A tool with side effects, and what it did."""

    def __init__(self, seconds: float = 1.0, timeout: float = 5.0) -> None:
        self.seconds = seconds
        self.begun: list[int] = []
        self.done: list[int] = []
        self.tool = Tool(self.pay, side_effects=True, timeout=timeout)

    async def pay(self, amount: int) -> str:
        """Pays."""
        self.begun.append(amount)
        await anyio.sleep(self.seconds)
        if amount > 90:
            raise ToolError("too much")
        if amount > 80:
            raise OSError("the bank is closed")
        self.done.append(amount)
        return f"paid {amount}"


def pays(amount: int, seconds: float = 1.0) -> BranchScript:
    return call("pay", {"amount": amount}, seconds)


async def acted(engine: CallingEngine, *tools: Any, **options: Any) -> Acted:
    given: dict[str, Any] = {"deadline": 60.0, "branches": 3, "parameters": ALL, **options}
    async with no_tasks_left(), Runtime(engine, SETTINGS) as runtime:
        return await runtime.act("Pay the bill.", tools=tools, **given)


async def test_the_call_that_most_make_runs_once_and_the_race_goes_on() -> None:
    ledger = Ledger()
    engine = CallingEngine(
        [[pays(7)], [pays(8)], [pays(7)]], [[says("42")], [says("42")], [says("41")]]
    )
    came = await acted(engine, ledger.tool, race_id="bill")
    assert ledger.done == [7]
    assert (came.result.answer, came.result.race_id) == ("42", "bill-1")
    (act,) = came.acts
    assert (act.name, act.arguments, act.result) == ("pay", '{"amount":7}', "paid 7")
    assert act.seconds == pytest.approx(1.0)
    assert came.result.deadline == pytest.approx(58.0)
    messages: list[Any] = list(came.messages)
    asked, called, told = messages
    assert asked == {"role": "user", "content": "Pay the bill."}
    assert called["tool_calls"][0]["function"] == {"name": "pay", "arguments": {"amount": 7}}
    assert told["content"] == "paid 7"
    assert told["tool_call_id"] == called["tool_calls"][0]["id"]


async def test_branches_run_the_other_tools_on_their_way() -> None:
    ledger = Ledger()

    @tool
    async def price(of: str) -> int:
        return 7

    engine = CallingEngine([[call("price", {"of": "it"}), pays(7)]], [[says("paid")]])
    came = await acted(engine, ledger.tool, price)
    assert ledger.done == [7]
    assert len(came.acts) == 1


async def test_without_a_call_it_is_a_race_like_others() -> None:
    ledger = Ledger()
    came = await acted(CallingEngine([[says("5")]]), ledger.tool)
    assert (came.result.answer, came.acts, ledger.begun) == ("5", (), [])


async def test_a_call_of_a_tool_that_is_not_ours_is_the_answer() -> None:
    ledger = Ledger()
    other = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}
    came = await acted(CallingEngine([[call("book", {"room": 1})]]), ledger.tool, other)
    assert came.result.answer == '{"arguments":{"room":1},"name":"book"}'
    assert came.acts == ()


@pytest.mark.parametrize(
    ("amount", "told"),
    [(91, "Error: too much"), (81, "Error: the tool pay raised OSError: the bank is closed")],
)
async def test_a_call_that_fails_is_told_and_not_made_again(amount: int, told: str) -> None:
    ledger = Ledger()
    came = await acted(CallingEngine([[pays(amount)]], [[says("no")]]), ledger.tool)
    assert ledger.begun == [amount]
    assert came.result.answer == "no"
    assert came.messages[-1]["content"] == told
    assert came.acts[0].result is None
    assert f"Error: {came.acts[0].error}" == told


async def test_too_few_votes_run_nothing() -> None:
    ledger = Ledger()
    engine = CallingEngine([[pays(7)], [pays(8)], [pays(9)]])
    came = await acted(engine, ledger.tool, min_votes=2)
    assert (came.acts, ledger.begun) == ((), [])
    assert came.result.answer is not None


async def test_what_outlasts_the_deadline_runs_on_and_the_answer_comes() -> None:
    ledger = Ledger(seconds=30.0, timeout=50.0)
    began = anyio.current_time()
    async with no_tasks_left(), Runtime(CallingEngine([[pays(7)]]), SETTINGS) as runtime:
        came = await runtime.act("Pay.", tools=[ledger.tool], deadline=5.0, branches=2)
        assert anyio.current_time() - began <= 5.0
        assert (came.acts[0].result, came.acts[0].seconds, ledger.done) == (None, None, [])
    assert ledger.done == [7]


async def test_several_calls_run_one_after_the_other() -> None:
    ledger = Ledger()
    both = BranchScript(
        (
            *pays(7).pieces,
            *pays(8).pieces[1:],
        )
    )
    came = await acted(CallingEngine([[both]], [[says("done")]]), ledger.tool)
    assert ledger.done == [7, 8]
    assert [act.result for act in came.acts] == ["paid 7", "paid 8"]


async def test_calls_that_never_end_are_bounded() -> None:
    ledger = Ledger(seconds=0.01)
    came = await acted(CallingEngine([[pays(7, 0.1)]]), ledger.tool, deadline=2.0)
    assert came.result.elapsed <= 2.0
    assert len(came.acts) == len(ledger.done) <= 20


async def test_a_raw_prompt_has_no_turns() -> None:
    prompt: Any = RawPrompt("x")
    async with Runtime(CallingEngine([[says("1")]]), SETTINGS) as runtime:
        with pytest.raises(BadRequest, match="conversation"):
            await runtime.act(prompt)
        with pytest.raises(BadRequest, match="min_votes"):
            await runtime.act("x", min_votes=0)


async def test_a_caller_who_leaves_while_it_runs_does_not_end_it() -> None:
    ledger = Ledger(seconds=3.0)
    async with no_tasks_left(), Runtime(CallingEngine([[pays(7)]]), SETTINGS) as runtime:
        with anyio.move_on_after(2.0):
            await runtime.act("Pay.", tools=[ledger.tool], branches=2, deadline=60.0)
        assert (ledger.begun, ledger.done) == ([7], [])
    assert ledger.done == [7]


async def test_a_caller_who_leaves_before_the_decision_runs_nothing() -> None:
    ledger = Ledger()
    async with no_tasks_left(), Runtime(CallingEngine([[pays(7)]]), SETTINGS) as runtime:
        with anyio.move_on_after(0.9):
            await runtime.act("Pay.", tools=[ledger.tool], branches=2, deadline=60.0)
    assert ledger.begun == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_process_that_is_told_to_end_lets_it_end() -> None:
    """Asyncio cancels the main task natively, which no shield of anyio's holds up."""
    ledger = Ledger(seconds=0.05)

    async def main() -> None:
        async with Runtime(CallingEngine([[pays(7, 0.002)]]), SETTINGS) as runtime:
            await runtime.act("Pay.", tools=[ledger.tool], branches=2, deadline=60.0)

    task = asyncio.create_task(main())
    await until(lambda: bool(ledger.begun))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.done == [7]


# ── exactly once ──────────────────────────────────────────────────────────────────────────────


class Decisions:
    """What races were decided for."""

    def __init__(self) -> None:
        self.amounts: list[int] = []

    def watch(self, spec: RaceSpec, model: str) -> RaceWatcher:
        return self

    def event(self, event: Event) -> None:
        if isinstance(event, RaceDecided) and event.result.stop_reason is not StopReason.FAILED:
            for one in read_calls(event.result.answer):
                if event.result.votes.get(str(event.result.answer)):
                    self.amounts.append(int(one.arguments.partition(":")[2].rstrip("}")))

    def aborted(self, seconds: float, requests: int, acknowledged: bool) -> None: ...

    def ended(self, result: Result | None) -> None: ...


def turns_at_random(rng: Random) -> Sequence[Turns]:
    amounts = [rng.randrange(100) for _ in range(2)]
    kinds = {
        "pays": lambda: pays(rng.choice(amounts), rng.choice((0.1, 1.0, 2.0))),
        "says": lambda: says(str(rng.randrange(2)), 1.0),
        "fails": fails,
    }
    return [
        [kinds[rng.choice(("pays", "pays", "says", "fails"))]()] for _ in range(rng.randint(1, 4))
    ]


def acts_at_random(seed: int) -> tuple[int, int]:
    """How many races were decided for a call, and how many calls ran."""
    rng = Random(seed)
    races = [turns_at_random(rng) for _ in range(3)]
    ledger, decisions = Ledger(rng.choice((0.0, 0.5, 4.0, 20.0))), Decisions()
    engine = CallingEngine(races[0], *races[1:], [[says("end")]])
    if rng.random() < 0.2:
        engine.script.dies_at = rng.uniform(0, 5.0)
    observers: list[Observer] = [decisions]

    async def run() -> None:
        async with no_tasks_left():
            with anyio.move_on_after(rng.choice((rng.uniform(0, 8.0), 100.0))):
                async with Runtime(engine, SETTINGS, observers=observers) as runtime:
                    with anyio.move_on_after(rng.choice((rng.uniform(0, 6.0), 100.0))):
                        await runtime.act(
                            "Pay.",
                            tools=[ledger.tool],
                            branches=4,
                            deadline=rng.choice((1.0, 3.0, 9.0)),
                            parameters={"stop": rng.choice(("none", "clinch"))},
                        )

    run_virtual(run)
    assert Counter(ledger.begun) == Counter(decisions.amounts)
    return len(decisions.amounts), len(ledger.begun)


@settings(max_examples=examples(1000))
@given(st.integers(0, 10**9))
def test_what_is_decided_for_runs_exactly_once(seed: int) -> None:
    acts_at_random(seed)


def test_some_of_these_races_are_decided_for_a_call() -> None:
    counts = [acts_at_random(seed)[0] for seed in range(60)]
    assert counts.count(0) > 5
    assert sum(count > 0 for count in counts) > 15


@pytest.mark.parametrize(
    "failure", [EngineRestarting("the engine died", 5.0), EngineClosed("the engine was closed")]
)
async def test_an_engine_that_is_lost_while_a_call_runs_takes_nothing_of_what_was_done(
    failure: EngineError,
) -> None:
    """Whoever heard of an error alone would pay once more."""

    class Lost(CallingEngine):
        lost: EngineError | None = None

        @property
        def failure(self) -> EngineError | None:
            return self.lost or super().failure

        async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
            if self.lost is not None:
                raise self.lost
            async with aclosing(super().generate(request)) as chunks:
                async for chunk in chunks:
                    yield chunk

    class Paying(Ledger):
        async def pay(self, amount: int) -> str:
            """Pays."""
            engine.lost = failure
            return await super().pay(amount)

    engine, ledger = Lost([[pays(7)]], [[says("42")]]), Paying()
    came = await acted(engine, ledger.tool)
    assert [act.result for act in came.acts] == ["paid 7"]
    assert ledger.done == [7]
    last: Any = came.messages[-1]
    assert last["content"] == "paid 7"
