"""Branches that run tools on their way, on the real engine.

The embedded model calls no tools: here its first turn is written for it, and the next one is its
own, behind the result. The one of ``demo-tools.toml`` calls a calculator by itself.
"""

from collections.abc import AsyncGenerator
from json import loads
from typing import Any

import anyio
import anyio.lowlevel
from tests.backends import until

from frontrunner import Runtime, Settings
from frontrunner.agents import calculator, tool
from frontrunner.events import RaceDecided, ToolCalled, ToolReturned
from frontrunner.runtime.config import demo_config_path
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.demo.tool_documents import write_expression
from frontrunner.runtime.engines.protocol import Chunk, Engine, FinishReason, Generation
from frontrunner.runtime.engines.supervised import running_engine
from frontrunner.strategies.protocol import BranchStatus

CALL = '<tool_call>{"name": "ask", "arguments": {"about": 1}}</tool_call>'
#: Of a problem that the model solves with tools.
SEED = 0
QUESTION = "Tom has 3 apples and buys 4 more. How many apples does Tom have?"


class CallsFirst:
    """The engine beneath, but for the first turn of each branch."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.requests: list[Generation] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        if request.forced or "-t" in request.request_id:
            async for chunk in self._engine.generate(request):
                yield chunk
            return
        yield Chunk(CALL, self._engine.encode(CALL), FinishReason.STOP)


async def test_a_branch_goes_on_behind_the_result(runtime: Runtime) -> None:
    ran = 0

    @tool
    async def ask(about: int) -> str:
        nonlocal ran
        ran += 1
        await anyio.lowlevel.checkpoint()
        return QUESTION

    engine: Any = CallsFirst(runtime.engine)
    settings = Settings.from_dict({"answers": {"workers": 0}, "prompt": {"instruction": ""}})
    async with (
        Runtime(engine, settings, tools=[ask]) as acting,
        acting.stream(
            "Ask me.", branches=4, deadline=600.0, max_tokens=160, parameters={"stop": "none"}
        ) as stream,
    ):
        events = [event async for event in stream]
    assert ran == 1
    returned = [event.result for event in events if isinstance(event, ToolReturned)]
    assert returned == [QUESTION] * 4
    assert isinstance(events[-1], RaceDecided)
    result = events[-1].result
    first = next(r for r in engine.requests if r.branch == 0)
    second = next(r for r in engine.requests if r.request_id == f"{first.request_id}-t1")
    told = first.prompt + runtime.engine.encode(CALL)
    assert second.prompt[: len(told)] == told
    beneath: Any = running_engine(runtime.engine)
    rest = beneath.llm.get_tokenizer().decode(second.prompt[len(told) :])
    assert rest.replace(" ", "") == f"<|user|>{QUESTION}<|assistant|>".replace(" ", "")
    # Those that ran into their limit may have been forced to answer since.
    ended = (BranchStatus.FINISHED, BranchStatus.TRUNCATED, BranchStatus.FORCED)
    assert [branch.status in ended for branch in result.branches] == [True] * 4
    assert "[ask] Tom has 3" in result.branches[0].text
    await until(lambda: runtime.engine.load().running == 0)


async def test_the_model_that_learned_it_calls_the_calculator() -> None:
    (problem,) = hard_problems("select", 1, seed=SEED)
    asked = {"temperature": 0.0, "deadline": 120.0, "parameters": {"stop": "none"}}
    async with (
        Runtime.from_config(demo_config_path().with_name("demo-tools.toml")) as runtime,
        runtime.stream(problem.question, branches=2, tools=[calculator], **asked) as stream,
    ):
        events = [event async for event in stream]
        without = await runtime.solve(problem.question, branches=1, **asked)
    called = [event for event in events if isinstance(event, ToolCalled)]
    # One call a branch, and one execution for both.
    assert [loads(call.arguments) for call in called] == [
        {"expression": write_expression(problem)}
    ] * 2
    assert sorted(call.shared for call in called) == [False, True]
    assert isinstance(events[-1], RaceDecided)
    assert events[-1].result.answer == str(problem.answer)
    # Where no calculator is offered it works it out as the model without tools does.
    assert "calculator" not in without.text
    assert without.text.startswith("1. ") or "\n1. " in without.text
