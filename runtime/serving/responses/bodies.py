"""What a client asks of the Responses API, checked.

Fields and items that a race has no use for are ignored and reported; what would change the meaning
of the question (an image, a file, a stored prompt) is refused by name. ``ignored`` says which.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

from ...engines.protocol import Message
from ...prompts.history import History, custom_call, function_call, read_text, turn
from ..app_keys import RUNTIME
from ..errors import BadParameter, NotFound
from ..replies.reply_kinds import Asked, ReplyKind, reply_kind
from ..reply_bodies import ResponseEcho
from ..requests.bounds import Items
from ..requests.hosted_tools import left_out
from ..requests.ignored_fields import ITEMS, RESPONSES, ignored_fields
from ..requests.limits import parse_json
from ..requests.request_body import weight
from ..requests.request_options import (
    ReasoningEffort,
    Sampled,
    TemplateArguments,
    template_arguments,
)
from ..requests.response_format import JsonReply, ResponseFormat
from ..requests.slices import Slices

Role = Literal["user", "assistant", "system", "developer"]


class ItemNotFound(NotFound):
    """An item that the input refers to is not kept; ``param`` is the reference's path."""

    def __init__(self, message: str, param: str) -> None:
        self.param = param
        super().__init__(message)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class TextPart(_Body):
    """A piece of a message's text."""

    type: Literal["input_text", "output_text", "text", "summary_text", "reasoning_text"]
    text: str


class Refusal(_Body):
    """An assistant's refusal, as a conversation repeats it."""

    type: Literal["refusal"]
    refusal: str


class InputMessage(_Body):
    """One turn, in the short form or as an output item that comes back."""

    type: Literal["message"] = "message"
    role: Role
    content: str | Items[Annotated[TextPart | Refusal, Field(discriminator="type")]]


class FunctionCall(_Body):
    """A call that the model asked for."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class CustomToolCall(_Body):
    """A call of a tool that takes text; another server's, since there are none here."""

    type: Literal["custom_tool_call"]
    call_id: str
    name: str
    input: str


class CallOutput(_Body):
    """What a call gave."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str
    output: str | Items[TextPart]


class ReasoningText(_Body):
    """A piece of reasoning."""

    type: Literal["reasoning_text", "summary_text"]
    text: str


class ReasoningItem(_Body):
    """Reasoning that comes back, for chat templates that show it; encrypted, nobody reads it."""

    type: Literal["reasoning"]
    content: Items[ReasoningText] | None = None
    summary: Items[ReasoningText] | None = None

    @property
    def text(self) -> str:
        """The reasoning, or else its summary."""
        return "\n\n".join(part.text for part in self.content or self.summary or ())


class ItemReference(_Body):
    """An output item of a response that is kept."""

    type: Literal["item_reference"] | None = None
    id: str


class OtherItem(_Body):
    """What a hosted tool did: the message behind it says what came of it."""

    type: str


def _kind(item: Any) -> str | None:
    if not isinstance(item, dict):
        return _tag(getattr(item, "type", None) or "item_reference")
    short = "item_reference" if "id" in item and "role" not in item else "message"
    return _tag(item.get("type") or short)


def _tag(kind: Any) -> str | None:
    if not isinstance(kind, str):
        return None
    field = ITEMS.get(kind)
    return "left out" if field is not None and field.fate == "ignored" else kind


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[CustomToolCall, Tag("custom_tool_call")]
    | Annotated[CallOutput, Tag("function_call_output")]
    | Annotated[CallOutput, Tag("custom_tool_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[ItemReference, Tag("item_reference")]
    | Annotated[OtherItem, Tag("left out")],
    Discriminator(_kind),
]
_ITEM: TypeAdapter[Any] = TypeAdapter(InputItem)


class FunctionTool(_Body):
    """A function that the model may call, in the flat form of this API."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class OtherTool(BaseModel):
    """A tool that is no function; see ``hosted_tools``."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    type: Annotated[str, Field(min_length=1)]


def _tool_kind(tool: Any) -> str | None:
    kind = tool.get("type") if isinstance(tool, dict) else getattr(tool, "type", None)
    return None if not isinstance(kind, str) else "function" if kind == "function" else "other"


Tool = Annotated[
    Annotated[FunctionTool, Tag("function")] | Annotated[OtherTool, Tag("other")],
    Discriminator(_tool_kind),
]


class TextOptions(BaseModel):
    """How the text of a response is written."""

    model_config = ConfigDict(extra="allow", strict=True)

    format: ResponseFormat | None = None


class ReasoningOptions(BaseModel):
    """How much the model is to think."""

    model_config = ConfigDict(extra="allow", strict=True)

    effort: ReasoningEffort | None = None


class ResponseBody(Sampled):
    """``POST /v1/responses``, and ``response.create`` on the websocket."""

    LONG_LIST = ("input", _ITEM)

    input: str | Annotated[Items[InputItem], Field(min_length=1)] = ""
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: Items[Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    reasoning: ReasoningOptions | None = None
    chat_template_kwargs: TemplateArguments | None = None
    """vLLM's: variables of the model's chat template, over those of ``[prompt]``."""
    generate: bool | None = None
    """False: only prepare what a later request goes on from, with ``previous_response_id``."""
    type: str | None = None
    """On the websocket: ``response.create``."""
    stream_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """On the websocket: the lane, see ``websocket``."""

    @property
    def only_prepares(self) -> bool:
        """Whether nothing is to be generated: a warm-up."""
        options = (self.model_extra or {}).get("prompt_cache_options")
        warms = isinstance(options, dict) and cast(dict[str, Any], options).get("prewarm") is True
        return self.generate is False or warms

    def messages(self, earlier: Sequence[Message], turns: Sequence[Message]) -> list[Message]:
        """The conversation in OpenAI's chat form: ``instructions``, what was said earlier, and the
        input's ``turns``."""
        told = [turn("system", self.instructions)] if self.instructions else []
        return [*told, *earlier, *turns]

    async def turns(
        self, find: Callable[[str], Mapping[str, Any]], slices: Slices
    ) -> list[Message]:
        """The input as chat messages.

        Args:
            find: the output item with an id; it raises ``NotFound``.
            slices: in which many items are read.

        Raises:
            BadRequest: the arguments of a call are none.
            ItemNotFound: a reference leads nowhere.
            BadParameter: nothing is asked.
        """
        if isinstance(self.input, str):
            begins = not (self.instructions or self.previous_response_id or self.only_prepares)
            if begins and not self.input.strip():
                misplaced = "messages" in (self.model_extra or {})
                advice = ", not messages, which is of chat completions" if misplaced else ""
                raise BadParameter(f"input: text or a list of items is expected{advice}", "input")
            return [turn("user", self.input)]
        history = History()

        def read(place: int, item: Any) -> None:
            at = f"input[{place}]"
            if isinstance(item, ItemReference):
                item = _referenced(item.id, find, at)
            _tell(history, item, at)

        await slices.each(self.input, weight, read)
        return history.turns

    def without_effect(self) -> tuple[str, ...]:
        """What of the request has no effect: names of fields, tools and items.

        Raises:
            BadParameter: something in it is refused.
        """
        items = () if isinstance(self.input, str) else self.input
        skipped = [
            f"input[{place}].{item.type}"
            for place, item in enumerate(items)
            if isinstance(item, OtherItem)
        ]
        tools = left_out([tool.type for tool in self.tools or ()], self.tool_choice)
        return (*ignored_fields(self, RESPONSES), *tools, *skipped)

    def chat_tools(self) -> list[dict[str, Any]] | None:
        """The tools in the nested form that chat templates take."""
        return [
            {
                "type": "function",
                "function": tool.model_dump(exclude={"type", "strict"}, exclude_none=True),
            }
            for tool in self.tools or ()
            if isinstance(tool, FunctionTool)
        ] or None

    async def reply_kind(self, app: web.Application, count: Callable[[str], int]) -> ReplyKind:
        """What the reply is to be; ``count`` counts tokens.

        Raises:
            BadRequest: what is asked for does not go together.
        """
        asked = Asked(
            self.frontrunner,
            await JsonReply.of(self.text.format if self.text else None, "text.format"),
            self.chat_tools(),
            self.tool_choice,
            self.parallel_tool_calls,
            max_tokens=self.max_output_tokens,
            template_arguments=template_arguments(
                self._effort, self.chat_template_kwargs, app[RUNTIME].settings.thinking
            ),
        )
        return reply_kind(app, asked, count)

    def echo(self, model: str) -> ResponseEcho:
        """The fields of a response object that repeat the request."""
        return {
            "background": bool(self.background),
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": self.metadata or {},
            "model": model,
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "previous_response_id": self.previous_response_id,
            "reasoning": {"effort": self._effort, "summary": None},
            "store": self.store is not False,
            "temperature": self.temperature,
            "text": {"format": self._format()},
            "tool_choice": self.tool_choice or "auto",
            "tools": [tool.model_dump() for tool in self.tools or ()],
            "top_p": self.top_p,
            "truncation": "disabled",
            "user": self.user,
        }

    @property
    def _effort(self) -> ReasoningEffort | None:
        return None if self.reasoning is None else self.reasoning.effort

    def _format(self) -> dict[str, Any]:
        if self.text is None or self.text.format is None:
            return {"type": "text"}
        return self.text.format.model_dump(by_alias=True, exclude_unset=True)


def reply_turns(output: Sequence[Mapping[str, Any]]) -> list[Message]:
    """A response's output items as turns of the conversation that follows."""
    history = History()
    for place, item in enumerate(output):
        _tell(history, _ITEM.validate_python(item), f"output[{place}]")
    return history.turns


def _referenced(item_id: str, find: Callable[[str], Mapping[str, Any]], at: str) -> Any:
    try:
        return _ITEM.validate_python(find(item_id))
    except NotFound as error:
        raise ItemNotFound(str(error), f"{at}.id") from None


def _tell(history: History, item: Any, at: str) -> None:
    """Add an item to a conversation; ``at`` is its path."""
    match item:
        case InputMessage():
            history.say(item.role, _text(item.content, f"{at}.content"))
        case FunctionCall():
            path, call_id = f"{at}.arguments", item.call_id
            call = function_call(item.name, item.arguments, path, parse_json, call_id)
            history.call(call)
        case CustomToolCall():
            history.call(custom_call(item.name, item.input, item.call_id))
        case CallOutput():
            text = _text(item.output, f"{at}.output")
            history.say("tool", text, tool_call_id=item.call_id)
        case ReasoningItem():
            history.reason(item.text)
        case _:
            pass


def _text(content: str | Sequence[TextPart | Refusal], at: str) -> str:
    return read_text(content, at) or ""
