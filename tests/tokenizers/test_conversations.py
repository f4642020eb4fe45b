"""Conversations over HTTP: the engine gets what the model's template makes of them by itself."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest
from openai import BadRequestError
from tests.runtime.serving.conftest import Served, served

from frontrunner._virtual_time import VirtualLoop
from frontrunner.runtime.engines.protocol import Generation

from .families import SHOW_CALLS, SHOW_TOOLS
from .tokenized_engine import TokenizedEngine, encode

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")

SYSTEM = "Be brief. Bitte auf Deutsch. 短く。"
QUESTIONS = (
    "Tom has 3 apples and buys 5. How many?",
    "Und noch 2 Äpfel? 🍎",
    "すべて食べました。残りは？",
)
REPLIES = ("Es sind \\boxed{8}. 八個 👍🏽", "Nun sind es \\boxed{10}.", "\\boxed{0} — kein Apfel.")
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "The weather.", "parameters": PARAMETERS}
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "東京"}}\n</tool_call>'
RACE = {"frontrunner": {"branches": 2, "deadline": 20}}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Real sockets, and a clock that stands still while vLLM is imported."""
    return "asyncio", {"loop_factory": VirtualLoop}


class Conversing:
    """A server whose branches say these replies, one a request, and what its engine was sent."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.reply = ""
        self.engine = TokenizedEngine(tokenizer, self._write)
        self.served: Served

    def _write(self, request: Generation) -> Sequence[int]:
        return encode(self.tokenizer, self.reply)

    def prompt(self) -> list[int]:
        """That of the last race."""
        prompts = {request.prompt for request in self.engine.requests if not request.forced}
        assert len(prompts) == 1
        self.engine.requests.clear()
        return list(prompts.pop())

    def rendered(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None = None
    ) -> list[int]:
        text = self.tokenizer.apply_chat_template(
            list(messages), tools=tools, tokenize=False, add_generation_prompt=True
        )
        return encode(self.tokenizer, text)

    async def chat(self, reply: str, messages: Sequence[Any], **more: Any) -> Any:
        self.reply = reply
        client = self.served.openai.chat.completions
        whole = await client.create(
            model="scripted", messages=list(messages), extra_body=RACE, **more
        )
        return whole.choices[0].message

    async def respond(self, reply: str, said: Any, **more: Any) -> Any:
        self.reply = reply
        return await self.served.openai.responses.create(
            model="scripted", input=said, extra_body=RACE, **more
        )


@asynccontextmanager
async def conversing(tokenizer: Any) -> AsyncGenerator[Conversing, None]:
    talk = Conversing(tokenizer)
    async with served(engine=talk.engine, content="reply") as talk.served:
        yield talk


async def test_three_turns_of_a_chat(tokenizer: Any) -> None:
    async with conversing(tokenizer) as talk:
        messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
        for question, reply in zip(QUESTIONS, REPLIES, strict=True):
            messages.append({"role": "user", "content": question})
            said = await talk.chat(reply, messages)
            assert talk.prompt() == talk.rendered(messages)
            assert said.content == reply
            messages.append({"role": "assistant", "content": said.content})


async def test_what_the_system_says_later_reaches_the_model(tokenizer: Any) -> None:
    """Two models' templates do not show it where it stands: one drops it, the other refuses it."""
    later = "Antworte nun auf Deutsch. 🇩🇪"
    async with conversing(tokenizer) as talk:
        await talk.chat(
            REPLIES[1],
            [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": QUESTIONS[0]},
                {"role": "assistant", "content": REPLIES[0]},
                {"role": "developer", "content": later},
                {"role": "user", "content": QUESTIONS[1]},
            ],
        )
        text = tokenizer.decode(talk.prompt())
        assert text.count(later) == text.count(SYSTEM) == 1
        assert text.index(later) < text.index(QUESTIONS[1])


async def test_three_turns_of_responses(tokenizer: Any) -> None:
    async with conversing(tokenizer) as talk:
        messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
        before: str | None = None
        for question, reply in zip(QUESTIONS, REPLIES, strict=True):
            messages.append({"role": "user", "content": question})
            response = await talk.respond(
                reply, question, instructions=SYSTEM, previous_response_id=before
            )
            assert talk.prompt() == talk.rendered(messages)
            assert response.output_text == reply
            before = response.id
            messages.append(told(response))


async def test_tools_and_calls_of_a_chat(family: str, tokenizer: Any) -> None:
    tools = [{"type": "function", "function": FUNCTION}]
    async with conversing(tokenizer) as talk:
        messages: list[dict[str, Any]] = [{"role": "user", "content": "Weather in 東京?"}]
        said = await talk.chat(CALL, messages, tools=tools)
        assert talk.prompt() == talk.rendered(messages, tools)
        messages += [said.model_dump(exclude_none=True)]
        messages += [{"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "晴れ ☀️"}]
        if family == "gemma3":
            with pytest.raises(BadRequestError, match="the model's chat template refuses"):
                await talk.chat(CALL, messages, tools=tools)
            return
        for question, reply in zip(QUESTIONS, REPLIES, strict=True):
            messages.append({"role": "user", "content": question})
            said = await talk.chat(reply, messages, tools=tools)
            prompt = talk.prompt()
            assert prompt == talk.rendered(as_template_wants(family, messages), tools)
            shows(family, tokenizer, prompt)
            messages.append({"role": "assistant", "content": said.content})


async def test_tools_and_calls_of_responses(family: str, tokenizer: Any) -> None:
    flat, tools = {"type": "function", **FUNCTION}, [{"type": "function", "function": FUNCTION}]
    more: dict[str, Any] = {"tools": [flat]}
    async with conversing(tokenizer) as talk:
        messages: list[dict[str, Any]] = [{"role": "user", "content": "Weather in 東京?"}]
        response = await talk.respond(CALL, "Weather in 東京?", **more)
        assert talk.prompt() == talk.rendered(messages, tools)
        call = response.output[-1]
        messages += [told(response), {"role": "tool", "content": "晴れ ☀️"}]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "晴れ ☀️"}
        more["previous_response_id"] = response.id
        if family == "gemma3":
            with pytest.raises(BadRequestError, match="the model's chat template refuses"):
                await talk.respond(REPLIES[0], [result], **more)
            return
        await talk.respond(REPLIES[0], [result], **more)
        prompt = talk.prompt()
        assert prompt == talk.rendered(as_template_wants(family, messages), tools)
        shows(family, tokenizer, prompt)


def told(response: Any) -> dict[str, Any]:
    """The turn of the assistant that a response is."""
    turn: dict[str, Any] = {"role": "assistant", "content": response.output_text}
    for item in response.output:
        if item.type == "reasoning" and item.content:
            turn["reasoning_content"] = "".join(part.text for part in item.content)
        if item.type == "function_call":
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            turn.setdefault("tool_calls", []).append(call)
    return turn


def as_template_wants(family: str, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages in the form in which the model's template, by its text, takes calls."""
    turns = [dict(message) for message in messages]
    for turn in turns:
        if turn.get("tool_calls"):
            turn["content"] = None if family == "deepseek-v3" else turn.get("content") or ""
            turn["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": arguments(family, call)}}
                for call in turn["tool_calls"]
            ]
    return turns


def arguments(family: str, call: Mapping[str, Any]) -> Any:
    data = json.loads(call["function"]["arguments"])
    return json.dumps(data, ensure_ascii=False) if family == "deepseek-v3" else data


def shows(family: str, tokenizer: Any, prompt: Sequence[int]) -> None:
    """Assert that the model sees what its template shows of a call, its result and the tools."""
    text = tokenizer.decode(prompt)
    assert ('{"city": "東京"}' in text) == (family in SHOW_CALLS)
    assert "晴れ ☀️" in text
    assert ('"required"' in text) == (family in SHOW_TOOLS)
