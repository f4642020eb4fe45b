"""Tools inside branches of a remote engine: results by the endpoint's own tokens."""

from typing import Any, cast

import pytest
from aiohttp import web

from frontrunner import Runtime
from frontrunner.agents import tool
from frontrunner.runtime.config import OpenAISettings
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.engines.openai.placeholder_ids import Results, read_parts, spell_results
from frontrunner.runtime.engines.openai.tool_turns import NoPlaceForResults, results_between
from frontrunner.runtime.engines.protocol import Engine, ToolTurn, takes_tool_turns

from ..agents.calling import SETTINGS
from .fake_endpoint import FakeEndpoint, _event, engine_on, words

END = "<end>"
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {}


@tool
async def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def written(body: dict[str, Any], *, results: bool = True) -> str:
    """A chat template's text; the last turn of a model begins otherwise than earlier ones."""
    said = ["<bos>", f"tools {len(body.get('tools') or ())}"]
    for place, turn in enumerate(body["messages"]):
        if turn["role"] == "tool" and not results:
            continue
        last = place + 1 == len(body["messages"])
        calls = [str(call["function"]) for call in turn.get("tool_calls") or ()]
        head = f"<{turn['role']}>" + (" (thought)" if calls and last else "")
        said.append(f"{head} {turn['content']} {' '.join(calls)} {END} ,")
    return " ".join([*said, "<assistant>"] if body["add_generation_prompt"] else said)


class Calling(FakeEndpoint):
    """Calls a tool, and says what the result is once it has been told."""

    async def _stream(
        self, request: web.Request, body: dict[str, Any], chat: bool, fault: Any
    ) -> web.StreamResponse:
        told = words("<tool>")[0] in body["prompt"]
        text, ids = ("\\boxed{3}", [40_003]) if told else (CALL, [40_001, 40_002])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        choice = {"index": 0, "text": text, "finish_reason": "stop"}
        choice["token_ids"] = [*ids, *words(END)]
        await response.write(_event(choice) + b"data: [DONE]\n\n")
        return response


async def race(endpoint: Calling, **settings: Any) -> tuple[bool, Any]:
    """Whether tools run there, and a race's result."""
    await endpoint.start()
    try:
        async with engine_on(endpoint, **settings) as engine:
            taken = takes_tool_turns(engine)
            async with Runtime(kept(engine), SETTINGS, tools=[add]) as runtime:
                asked = runtime.solve("How many?", branches=2, deadline=20.0)
                return taken, await asked
    finally:
        await endpoint.stop()


class _Kept:
    """An engine that runs already."""

    def __init__(self, engine: OpenAIEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


def kept(engine: OpenAIEngine) -> Engine:
    return cast(Engine, _Kept(engine))


async def test_a_branch_goes_on_from_its_exact_tokens_with_the_endpoints_own() -> None:
    endpoint = Calling(template=written)
    taken, result = await race(endpoint)
    assert taken
    assert (result.answer, result.votes) == ("3", {"3": 2})
    asked = [body["prompt"] for body in endpoint.bodies("/v1/completions")]
    goes_on = [prompt for prompt in asked if 40_001 in prompt]
    assert len(goes_on) == 2
    for prompt in goes_on:
        at = prompt.index(40_001)
        assert prompt[:at] in asked  # the branch's own prompt
        # What it has written, its end included; the results as the template has them behind it.
        assert prompt[at:] == [
            *(40_001, 40_002, *words(END)),
            *words(f", <tool> 3 {END} , <assistant>"),
        ]


async def test_a_branch_of_an_endpoint_without_token_ids_is_kept_whole() -> None:
    """What it writes is spelled by numbers of any size."""
    fake = FakeEndpoint(vllm=False, length=lambda text: 20)
    await fake.start()
    try:
        async with engine_on(fake) as engine, Runtime(kept(engine), SETTINGS) as runtime:
            result = await runtime.solve("How many?", branches=2, deadline=60.0)
    finally:
        await fake.stop()
    assert [branch.error for branch in result.branches] == [None, None]
    assert [branch.tokens for branch in result.branches] == [20, 20]
    assert "w20 w21 w22 " in result.branches[0].text


async def test_a_template_that_hides_results_has_calls_for_answers() -> None:
    endpoint = Calling(template=lambda body: written(body, results=False))
    taken, result = await race(endpoint)
    assert not taken
    assert result.answer == '{"arguments":{"a":1,"b":2},"name":"add"}'


@pytest.mark.parametrize("abilities", [{"vllm": False}, {"template": lambda body: None}])
async def test_other_endpoints_take_none(abilities: dict[str, Any]) -> None:
    endpoint = FakeEndpoint(**abilities)
    await endpoint.start()
    try:
        async with engine_on(endpoint) as engine:
            assert not takes_tool_turns(engine)
    finally:
        await endpoint.stop()


def test_an_engine_that_has_not_started_takes_none() -> None:
    assert not takes_tool_turns(OpenAIEngine(OpenAISettings(url="http://localhost:9/v1")))


def test_results_are_spelled_whole() -> None:
    turn = ToolTurn([("f", {"x": "雨"})], ["a" * 5_000], 7, [{"type": "function"}], {"k": 1})
    ids = spell_results(turn, turn.arguments)
    (part,) = read_parts((1, 2, *ids))[1:]
    assert isinstance(part, Results)
    assert part.last_token == 7
    assert len(part.called.messages) + 1 == len(part.answered.messages)
    assert part.answered.messages[-1]["content"] == "a" * 5_000
    assert part.answered.arguments == {"k": 1}
    assert part.answered.tools == [{"type": "function"}]
    assert len(ids) >= 5_000 / 3


@pytest.mark.parametrize(
    ("before", "after", "last", "found"),
    [
        ([1, 2, 9], [1, 2, 9, 5, 6], 9, [5, 6]),
        ([1, 2, 9], [1, 2, 9, 5, 6], None, [5, 6]),
        ([1, 2, 9, 8], [1, 2, 9, 8, 5], 9, [8, 5]),  # the line break behind the end
        ([1, 2, 7, 9, 8], [1, 2, 7, 9, 8, 5], 2, [5]),  # far from an end of turn
        ([1, 9, 3, 4, 4, 4], [1, 9, 3, 4, 4, 4, 5], 9, [5]),  # the end of the turn before
        ([1, 7, 2, 9], [1, 2, 9, 5, 2, 9], 9, [5, 2, 9]),  # a turn begins otherwise if it is last
    ],
)
def test_results_are_what_follows_the_turn(
    before: list[int], after: list[int], last: int | None, found: list[int]
) -> None:
    assert list(results_between(before, after, last)) == found


def test_a_conversation_that_does_not_go_on_is_told_so() -> None:
    with pytest.raises(NoPlaceForResults, match="template"):
        results_between([1, 2, 3], [1, 5, 6], 3)
