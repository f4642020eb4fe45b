"""``POST /v1/chat/completions``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from ..engines.protocol import Message
from ..race_options import RaceOptions, answer_kind
from ..result import Result
from .chunks import ChunkEncoder
from .frames import Frame, TextFrame
from .limits import read_json
from .replies import (
    Choice,
    answer_race,
    branches_for,
    check_model,
    choices_of,
    completion,
    stream_race,
    wants_events,
)
from .request_options import Sampled, checked, race_options
from .state import RUNTIME, SETTINGS

Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Stop = Annotated[str, Field(min_length=1)]


class StreamOptions(BaseModel):
    """How a stream ends."""

    model_config = ConfigDict(extra="ignore", strict=True)

    include_usage: bool | None = None


class Part(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    def plain(self) -> Message:
        """The turn as chat templates know it, its text in one piece."""
        content = self.content
        if isinstance(content, list):
            content = "".join(part.text for part in content)
        role = "system" if self.role == "developer" else self.role
        more = {
            key: value
            for key in ("name", "tool_calls", "tool_call_id")
            if (value := getattr(self, key)) is not None
        }
        return cast(Message, {"role": role, "content": content or "", **more})


class ChatRequest(Sampled):
    """The body."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Stop | list[Stop] | None = None
    seed: Seed | None = None
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None

    def offered_tools(self) -> list[dict[str, Any]] | None:
        """The tools that may be called."""
        return None if self.tool_choice == "none" else self.tools or None

    def options(self, request: web.Request) -> RaceOptions:
        """What the race is told.

        Raises:
            BadParameter: what is asked for does not go together.
        """
        settings = request.app[RUNTIME].settings
        tools = self.offered_tools()
        options = race_options(
            self.frontrunner,
            request.headers,
            settings,
            seed=self.seed,
            stop=stop_strings(self.stop),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            tools=tools,
        )
        if tools and answer_kind(options.get("answers")) is None:
            options["answers"] = "tool_call"
        if more := branches_for(self.n or 1, self.frontrunner, settings.race.branches):
            options["branches"] = more
        return options


def stop_strings(stop: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """OpenAI's ``stop`` as a race takes it."""
    return (stop,) if isinstance(stop, str) else tuple(stop) if stop else None


class ChatEncoder(ChunkEncoder):
    """The leader's text as ``reasoning_content``, the answer as ``content`` or ``tool_calls``."""

    object = "chat.completion.chunk"

    def __init__(
        self, model: str, *, choices: int, events: bool, include_usage: bool, tools: bool
    ) -> None:
        super().__init__(model, choices=choices, events=events, include_usage=include_usage)
        self._tools = tools

    def _first(self) -> Sequence[Mapping[str, Any]]:
        return [_delta({"role": "assistant", "content": ""}, i) for i in range(self._choices)]

    def _reasoning(self, text: str) -> Mapping[str, Any]:
        return _delta({"reasoning_content": text})

    def _answered(self, text: str) -> Iterable[Frame]:
        # Where calls are what an answer is, it is only known at the end whether it is one.
        return [] if self._tools else [TextFrame(text, self._wrap_content, key="content")]

    def _wrap_content(self, text: str, tokens: int) -> Mapping[str, Any]:
        return self._chunk(_delta({"content": text}))

    def _decided(self, result: Result) -> Sequence[Mapping[str, Any]]:
        said, ends = list[Mapping[str, Any]](), list[Mapping[str, Any]]()
        for index, choice in enumerate(choices_of(result, self._choices)):
            calls = tool_calls(choice, self._id, index) if self._tools else None
            delta: dict[str, Any] = {}
            if index and choice.reasoning:
                delta["reasoning_content"] = choice.reasoning
            if calls is not None:
                delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(calls)]
            elif index or self._tools:
                delta["content"] = choice.content
            if delta:
                said.append(_delta(delta, index))
            reason = "tool_calls" if calls is not None else choice.finish_reason
            ends.append(_delta({}, index, reason))
        return [*said, *ends]


def _delta(delta: Mapping[str, Any], index: int = 0, reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def tool_calls(choice: Choice, run_id: str, index: int) -> list[dict[str, Any]] | None:
    """The answer as calls in OpenAI's form; None if it is none."""
    if choice.answer is None:
        return None
    try:
        said = orjson.loads(choice.answer)
    except orjson.JSONDecodeError:
        return None
    calls = said if isinstance(said, list) else [said]
    if not calls or not all(isinstance(c, dict) and isinstance(c.get("name"), str) for c in calls):
        return None
    return [
        {
            "id": f"call_{run_id.rpartition('-')[2]}_{index}_{place}",
            "type": "function",
            "function": {
                "name": call["name"],
                "arguments": orjson.dumps(call.get("arguments") or {}).decode(),
            },
        }
        for place, call in enumerate(calls)
    ]


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation."""
    body = checked(ChatRequest, await read_json(request, request.app[SETTINGS]))
    model = check_model(request.app, body.model)
    options = body.options(request)
    messages = [message.plain() for message in body.messages]
    asked, choices = body.frontrunner, body.n or 1
    # Text is JSON too: only where calls are what an answer is can an answer be a call.
    tools = answer_kind(options.get("answers")) == "tool_call"
    if body.stream:
        encoder = ChatEncoder(
            model,
            choices=choices,
            events=wants_events(request.app, asked),
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            tools=tools,
        )
        return await stream_race(request, messages, options, encoder, asked, prefix="chatcmpl-")
    run_id, result = await answer_race(request, messages, options, asked, prefix="chatcmpl-")
    whole = [
        _whole(choice, run_id, index, tools=tools)
        for index, choice in enumerate(choices_of(result, choices))
    ]
    return completion(run_id, "chat.completion", model, whole, result)


def _whole(choice: Choice, run_id: str, index: int, *, tools: bool) -> dict[str, Any]:
    calls = tool_calls(choice, run_id, index) if tools else None
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.content if calls is None else None,
        "refusal": None,
        "reasoning_content": choice.reasoning or None,
    }
    if calls is not None:
        message["tool_calls"] = calls
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if calls is not None else choice.finish_reason,
    }


def add_routes(app: web.Application) -> None:
    app.router.add_post("/v1/chat/completions", chat_completions)
