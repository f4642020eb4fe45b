"""``POST /v1/chat/completions``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from time import time
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter

from ...prompts.messages import Conversation
from ...racing.race_options import RaceOptions
from ...result import Result
from ..app_keys import RUNTIME, SETTINGS
from ..errors import json_response
from ..replies.completion_races import (
    Choice,
    answer_race,
    branches_for,
    check_model,
    choices_of,
    count_ahead,
    stream_race,
    usage,
    wants_events,
)
from ..replies.race_summary import summary
from ..replies.reply_kinds import Asked, ReplyKind, reply_kind
from ..replies.usage import Account
from ..reply_bodies import (
    Calls,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatReply,
    FinishReason,
    Function,
)
from ..requests.bounds import Items
from ..requests.hosted_tools import check_functions, left_out, tool_types
from ..requests.ignored_fields import CHAT, ignored_fields
from ..requests.request_body import read_messages, read_request
from ..requests.request_options import (
    ReasoningEffort,
    Sampled,
    TemplateArguments,
    race_options,
    stop_strings,
    template_arguments,
)
from ..requests.response_format import ChatFormat, JsonReply
from ..requests.slices import SLICES
from ..runs.frames import Frame, TextFrame
from .chat_tool_calls import CalledFunction, EarlierCall
from .chunks import ChunkEncoder

Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Stop = Annotated[str, Field(min_length=1)]


class StreamOptions(BaseModel):
    """How a stream ends."""

    model_config = ConfigDict(extra="allow", strict=True)

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
    content: str | Items[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    """What some servers call ``reasoning_content``."""
    tool_calls: Items[EarlierCall] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    """A call as it was told before there were ``tool_calls``."""
    audio: None = None


class ChatRequest(Sampled):
    """The body."""

    LONG_LIST = ("messages", TypeAdapter(ChatMessage))

    messages: Annotated[Items[ChatMessage], Field(min_length=1)]
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Stop | Items[Stop] | None = None
    seed: Seed | None = None
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Items[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: Items[dict[str, Any]] | None = None
    """What tools were called before there were others."""
    function_call: Literal["none", "auto"] | CalledFunction | None = None
    """The ``tool_choice`` among them."""
    response_format: ChatFormat | None = None
    reasoning_effort: ReasoningEffort | None = None
    """How much the model is to think, where its chat template can tell it."""
    chat_template_kwargs: TemplateArguments | None = None
    """vLLM's: variables of the model's chat template, over those of ``[prompt]``."""

    @property
    def legacy(self) -> bool:
        """Whether calls are told as before there were ``tool_calls``."""
        return bool(self.functions) and not self.tools

    def offered_tools(self) -> list[dict[str, Any]] | None:
        """The functions that may be called, as tools.

        Raises:
            BadParameter: one of them is none.
        """
        if self.legacy:
            check_functions(self.functions or (), "functions")
            return [{"type": "function", "function": function} for function in self.functions or ()]
        kinds = tool_types(self.tools)
        check_functions(self.tools or ())
        tools = [t for t, kind in zip(self.tools or (), kinds, strict=True) if kind == "function"]
        return tools or None

    async def reply_kind(self, app: web.Application, count: Callable[[str], int]) -> ReplyKind:
        """What the reply is to be; ``count`` counts tokens.

        Raises:
            BadRequest: what is asked for does not go together.
        """
        choice, called = self.tool_choice, self.function_call
        if self.legacy:
            named = (
                {"type": "function", "function": {"name": called.name}}
                if (isinstance(called, CalledFunction))
                else called
            )
            choice = named
        asked = Asked(
            self.frontrunner,
            await JsonReply.of(self.response_format, "response_format"),
            self.offered_tools(),
            choice,
            False if self.legacy else self.parallel_tool_calls,
            stop_strings(self.stop) or (),
            self.max_completion_tokens or self.max_tokens,
            template_arguments(
                self.reasoning_effort,
                self.chat_template_kwargs,
                app[RUNTIME].settings.thinking,
            ),
        )
        return reply_kind(app, asked, count)

    def without_effect(self) -> tuple[str, ...]:
        """What of the request has no effect: names of fields and tools.

        Raises:
            BadParameter: something in it is refused.
        """
        tools = left_out(tool_types(self.tools), self.tool_choice)
        return (*ignored_fields(self, CHAT), *tools)

    def options(self, request: web.Request, kind: ReplyKind) -> RaceOptions:
        """What the race is told, of a reply of this ``kind``.

        Raises:
            BadParameter: what is asked for does not go together.
        """
        settings = request.app[RUNTIME].settings
        options = race_options(
            self.frontrunner,
            request.headers,
            settings,
            streams=bool(self.stream),
            seed=self.seed,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            thinking_token_budget=self.thinking_token_budget,
            **kind.race,
        )
        options.update(branches_for(self.n or 1, self.frontrunner, settings.race.branches))
        return options


class ChatEncoder(ChunkEncoder):
    """The leader's text as ``reasoning_content``, the answer as ``content`` or ``tool_calls``."""

    object = "chat.completion.chunk"

    def __init__(
        self,
        model: str,
        *,
        choices: int,
        events: bool,
        include_usage: bool,
        account: Account,
        legacy: bool = False,
    ) -> None:
        """``legacy``: calls are told as before there were ``tool_calls``."""
        super().__init__(
            model, choices=choices, events=events, include_usage=include_usage, account=account
        )
        self._tools = account.form.calls
        self._legacy = legacy

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
        for index, choice in enumerate(choices_of(result, self._choices, self._account.form)):
            called = _called(choice, self._id, index, legacy=self._legacy)
            delta: ChatDelta = {}
            if index and choice.reasoning:
                delta["reasoning_content"] = choice.reasoning
            if "tool_calls" in called:
                calls = enumerate(called["tool_calls"])
                delta["tool_calls"] = [{"index": place, **call} for place, call in calls]
            elif "function_call" in called:
                delta["function_call"] = called["function_call"]
            elif index or self._tools:
                delta["content"] = choice.content
            if delta:
                said.append(_delta(delta, index))
            ends.append(_delta({}, index, _reason(choice, legacy=self._legacy)))
        return [*said, *ends]


def _delta(delta: ChatDelta, index: int = 0, reason: FinishReason | None = None) -> ChatChunkChoice:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def _reason(choice: Choice, *, legacy: bool) -> FinishReason:
    return "function_call" if choice.calls and legacy else choice.finish_reason


def _called(choice: Choice, run_id: str, index: int, *, legacy: bool) -> Calls:
    """The calls that a choice is, as fields of a message; none if it is something else."""
    if not choice.calls:
        return {}
    functions: list[Function] = [
        {"name": call.name, "arguments": call.arguments} for call in choice.calls
    ]
    if legacy:
        return {"function_call": functions[0]}
    race = run_id.rpartition("-")[2]
    return {
        "tool_calls": [
            {"id": f"call_{race}_{index}_{place}", "type": "function", "function": function}
            for place, function in enumerate(functions)
        ]
    }


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a conversation."""
    body = await read_request(request, ChatRequest, request.app[SETTINGS])
    model = check_model(request.app, body.model)
    account = Account.of(request.app, body.without_effect())
    kind = await body.reply_kind(request.app, account.count)
    account = replace(account, form=kind.form)
    options = body.options(request, kind)
    turns = await read_messages(body.messages, request.app[SLICES])
    messages = Conversation(turns)
    asked, choices = body.frontrunner, body.n or 1
    if body.stream:
        encoder = ChatEncoder(
            model,
            choices=choices,
            events=wants_events(request.app, asked),
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            account=account,
            legacy=body.legacy,
        )
        return await stream_race(request, messages, options, encoder, asked, prefix="chatcmpl-")
    run_id, result = await answer_race(request, messages, options, asked, prefix="chatcmpl-")
    await count_ahead(result, choices, account)
    whole = [
        _whole(choice, run_id, index, legacy=body.legacy)
        for index, choice in enumerate(choices_of(result, choices, kind.form))
    ]
    reply: ChatCompletion = {
        "id": run_id,
        "object": "chat.completion",
        "created": int(time()),
        "model": model,
        "choices": whole,
        "usage": usage([result], choices, account),
        "frontrunner": summary(result, account.ignored),
    }
    return json_response(reply)


def _whole(choice: Choice, run_id: str, index: int, *, legacy: bool) -> ChatChoice:
    message: ChatReply = {
        "role": "assistant",
        "content": None if choice.calls else choice.content,
        "refusal": None,
        "reasoning_content": choice.reasoning or None,
        **_called(choice, run_id, index, legacy=legacy),
    }
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": _reason(choice, legacy=legacy),
    }


def add_routes(app: web.Application) -> None:
    app.router.add_post("/v1/chat/completions", chat_completions)
