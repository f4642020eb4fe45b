"""What a client asks of the Responses API, checked.

Keys that a race has no use for are ignored, as OpenAI's clients send many; what would change the
meaning of the question (an image, a file, a stored prompt) is refused by name.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from ..engines.protocol import Message
from .errors import BadParameter
from .request_options import Sampled

Role = Literal["user", "assistant", "system", "developer"]


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
    content: str | list[Annotated[TextPart | Refusal, Field(discriminator="type")]]


class FunctionCall(_Body):
    """A call that the model asked for."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class FunctionCallOutput(_Body):
    """What such a call gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | list[TextPart]


class ReasoningItem(_Body):
    """Reasoning that comes back. The model is not shown it again, as with OpenAI's models."""

    type: Literal["reasoning"]


def _kind(item: Any) -> str | None:
    kind = item.get("type", "message") if isinstance(item, dict) else getattr(item, "type", None)
    return kind if isinstance(kind, str) else None


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_kind),
]


class FunctionTool(_Body):
    """A function that the model may call, in the flat form of this API."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseBody(Sampled):
    """``POST /v1/responses``, and ``response.create`` on the websocket."""

    input: str | Annotated[list[InputItem], Field(min_length=1)] = ""
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["auto", "none", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    prompt: None = None
    """Stored prompts are not kept here."""
    conversation: None = None
    """Nor conversations: see ``previous_response_id``."""
    stream_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """On the websocket: the lane, see ``websocket``."""

    def messages(self, earlier: Sequence[Message] = ()) -> list[Message]:
        """The conversation in OpenAI's chat form: ``instructions``, what was said earlier, and the
        input."""
        told = [_message("system", self.instructions)] if self.instructions else []
        return [*told, *earlier, *self.turns()]

    def turns(self) -> list[Message]:
        """The input as chat messages."""
        if isinstance(self.input, str):
            return [_message("user", self.input)]
        turns = list[Message]()
        for item in self.input:
            match item:
                case InputMessage():
                    role = "system" if item.role == "developer" else item.role
                    turns.append(_message(role, _text(item.content)))
                case FunctionCall():
                    _add_call(turns, item.call_id, item.name, item.arguments)
                case FunctionCallOutput():
                    content = _text(item.output)
                    told: Any = {"role": "tool", "tool_call_id": item.call_id, "content": content}
                    turns.append(told)
                case ReasoningItem():
                    pass
        return turns

    def chat_tools(self) -> list[dict[str, Any]] | None:
        """The tools in the nested form that chat templates take."""
        if not self.tools or self.tool_choice == "none":
            return None
        return [
            {
                "type": "function",
                "function": tool.model_dump(exclude={"type", "strict"}, exclude_none=True),
            }
            for tool in self.tools
        ]

    def echo(self, model: str) -> dict[str, Any]:
        """The fields of a response object that repeat the request."""
        return {
            "background": bool(self.background),
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": self.metadata or {},
            "model": model,
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "previous_response_id": self.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "store": self.store is not False,
            "temperature": self.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": self.tool_choice or "auto",
            "tools": [tool.model_dump() for tool in self.tools or ()],
            "top_p": self.top_p,
            "truncation": "disabled",
            "user": self.user,
        }


def reply_turns(output: Sequence[Mapping[str, Any]]) -> list[Message]:
    """A response's output items as turns of the conversation that follows."""
    turns = list[Message]()
    for item in output:
        if item["type"] == "message":
            turns.append(_message("assistant", "".join(part["text"] for part in item["content"])))
        elif item["type"] == "function_call":
            _add_call(turns, item["call_id"], item["name"], item["arguments"])
    return turns


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _text(content: str | Sequence[TextPart | Refusal]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.refusal if isinstance(part, Refusal) else part.text for part in content)


def _add_call(turns: list[Message], call_id: str, name: str, arguments: str) -> None:
    """Add a call to the assistant's turn; several in a row are one turn."""
    try:
        read = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError as error:
        raise BadParameter(f"the arguments of call {call_id!r} are not JSON", "input") from error
    # Chat templates write the arguments themselves, and want them as data.
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": read}}
    before: Any = turns.pop() if turns and turns[-1]["role"] == "assistant" else None
    calls = before.get("tool_calls", []) if before else []
    content = before["content"] if before else ""
    turn: Any = {"role": "assistant", "content": content, "tool_calls": [*calls, call]}
    turns.append(turn)
