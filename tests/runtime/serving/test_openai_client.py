"""OpenAI's Python client, on all three APIs: a part of ``tests/clients``, inside the suite."""

from typing import Any

import openai
import orjson
import pytest
from pydantic import BaseModel

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.engines.protocol import Generation

from .conftest import Serve, Served

MODEL = "scripted"
QUESTION = "What is six times seven?"
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]
EXTRA: dict[str, Any] = {"frontrunner": {"branches": 4, "deadline": 5}}
WRITTEN = "Six sevens make \\boxed{42}"
CALL = {"name": "get_weather", "arguments": {"city": "Paris"}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "get_weather", "parameters": SCHEMA}


class Person(BaseModel):
    name: str
    age: int


def writes(text: str) -> BranchScript:
    words = text.split(" ")
    return BranchScript((*(Piece(0.001, f"{w} ") for w in words[:-1]), Piece(0.001, words[-1])))


def calls() -> BranchScript:
    return writes(f"<tool_call>\n{orjson.dumps(CALL).decode()}\n</tool_call>")


def after_a_tool(served: Served, then: str) -> None:
    """Branches call a tool until its result is in the prompt."""
    result = served.engine.encode("TWENTY-ONE")

    def choose(request: Generation) -> BranchScript:
        return writes(then) if result[0] in request.prompt else calls()

    served.engine.script.chooser = choose


# ── chat ──────────────────────────────────────────────────────────────────────────────────────────


async def test_chat(serve: Serve) -> None:
    async with serve(writes(WRITTEN), content="reply") as served:
        reply = await served.openai.chat.completions.create(
            model=MODEL, messages=ASKED, extra_body=EXTRA
        )
        assert reply.choices[0].message.content == WRITTEN
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage is not None
        assert reply.usage.completion_tokens == len(WRITTEN.split())
        assert reply.usage.total_tokens == reply.usage.prompt_tokens + len(WRITTEN.split())


async def test_chat_streamed_with_its_reasoning_and_usage(serve: Serve) -> None:
    async with serve(writes(WRITTEN)) as served:
        stream = await served.openai.chat.completions.create(
            model=MODEL,
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=EXTRA,
        )
        chunks = [chunk async for chunk in stream]
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        assert "".join(delta.content or "" for delta in deltas) == "42"
        told = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        assert told == WRITTEN
        assert chunks[-1].usage is not None
        details = chunks[-1].usage.completion_tokens_details
        assert details is not None
        assert details.reasoning_tokens == len(WRITTEN.split()) - 1


async def test_chat_with_a_tool_over_two_turns(serve: Serve) -> None:
    tools: Any = [{"type": "function", "function": FUNCTION}]
    async with serve(content="reply") as served:
        after_a_tool(served, "It has 21 degrees.")
        first = await served.openai.chat.completions.create(
            model=MODEL, messages=ASKED, tools=tools, extra_body=EXTRA
        )
        message = first.choices[0].message
        assert first.choices[0].finish_reason == "tool_calls"
        assert message.tool_calls is not None
        (call,) = message.tool_calls
        assert call.type == "function"
        assert orjson.loads(call.function.arguments) == CALL["arguments"]
        result = {"role": "tool", "tool_call_id": call.id, "content": "TWENTY-ONE"}
        second = await served.openai.chat.completions.create(
            model=MODEL, messages=[*ASKED, message, result], tools=tools, extra_body=EXTRA
        )
        assert second.choices[0].message.content == "It has 21 degrees."


async def test_chat_parsed(serve: Serve) -> None:
    async with serve(writes('She is {"name": "Ada", "age": 36}')) as served:
        reply = await served.openai.chat.completions.parse(
            model=MODEL, messages=ASKED, response_format=Person, extra_body=EXTRA
        )
        assert reply.choices[0].message.parsed == Person(name="Ada", age=36)


# ── completions ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_completions(serve: Serve, stream: bool) -> None:
    async with serve(writes(WRITTEN)) as served:
        told = await served.openai.completions.create(
            model=MODEL, prompt=QUESTION, stream=stream, extra_body=EXTRA
        )
        if isinstance(told, openai.AsyncStream):
            text = "".join([c.text async for chunk in told for c in chunk.choices])
        else:
            text = told.choices[0].text
            assert told.usage is not None
            assert told.usage.completion_tokens == len(WRITTEN.split())
        assert text == WRITTEN


# ── Responses ─────────────────────────────────────────────────────────────────────────────────────


async def test_responses_over_two_turns(serve: Serve) -> None:
    async with serve(writes(WRITTEN), content="reply") as served:
        first = await served.openai.responses.create(
            model=MODEL, input="My name is ADA", extra_body=EXTRA
        )
        assert first.output_text == WRITTEN
        assert first.usage is not None
        assert first.usage.output_tokens == len(WRITTEN.split())
        await served.openai.responses.create(
            model=MODEL, input=QUESTION, previous_response_id=first.id, extra_body=EXTRA
        )
        (name,) = served.engine.encode("ADA")
        assert name in served.engine.requests[-1].prompt


async def test_responses_streamed_with_reasoning(serve: Serve) -> None:
    async with serve(writes(WRITTEN)) as served:
        body: Any = {"model": MODEL, "input": QUESTION, "extra_body": EXTRA}
        async with served.openai.responses.stream(**body) as events:
            kinds = {event.type async for event in events}
            final = await events.get_final_response()
        assert "response.output_text.delta" in kinds
        assert any(kind.startswith("response.reasoning") for kind in kinds)
        assert final.output_text == "42"
        assert final.usage is not None
        details = final.usage.output_tokens_details
        assert details.reasoning_tokens == len(WRITTEN.split()) - 1


async def test_responses_with_a_tool_over_two_turns(serve: Serve) -> None:
    tools: Any = [{"type": "function", "strict": False, **FUNCTION}]
    async with serve(content="reply") as served:
        after_a_tool(served, "It has 21 degrees.")
        first = await served.openai.responses.create(
            model=MODEL, input=QUESTION, tools=tools, extra_body=EXTRA
        )
        (call,) = [item for item in first.output if item.type == "function_call"]
        assert orjson.loads(call.arguments) == CALL["arguments"]
        result: Any = {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": "TWENTY-ONE",
        }
        second = await served.openai.responses.create(
            model=MODEL,
            input=[result],
            previous_response_id=first.id,
            tools=tools,
            extra_body=EXTRA,
        )
        assert second.output_text == "It has 21 degrees."


async def test_responses_parsed(serve: Serve) -> None:
    async with serve(writes('She is {"name": "Ada", "age": 36}')) as served:
        reply = await served.openai.responses.parse(
            model=MODEL, input=QUESTION, text_format=Person, extra_body=EXTRA
        )
        assert reply.output_parsed == Person(name="Ada", age=36)


async def test_the_websocket_over_two_turns(serve: Serve) -> None:
    async with serve(writes(WRITTEN)) as served, served.openai.responses.connect() as connection:
        before: str | None = None
        for _ in range(2):
            more: Any = {"previous_response_id": before} if before else {}
            await connection.response.create(model=MODEL, input=QUESTION, **more)
            async for event in connection:
                if event.type == "response.completed":
                    assert event.response.output_text == "42"
                    before = event.response.id
                    break
