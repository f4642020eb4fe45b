"""Conversations as callers have them, and as chat templates take them.

Whoever embeds a runtime has messages in OpenAI's form as plain dictionaries, as the typed ones of
the openai package, or as the objects that its replies hold. Templates take text: a list of parts
would reach the model as Python spells it, so what is not text is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import orjson

from ..engines.protocol import Message
from ..errors import BadRequest, EmptyQuestion


class Dumping(Protocol):
    """A pydantic object, such as a message of the openai package."""

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]: ...


#: One turn of a conversation in OpenAI's form.
ChatMessage = Mapping[str, Any] | Dumping

#: How deep the arguments of a call may be nested: templates walk through them recursively.
_DEPTH: Final = 64
#: Where the text stands in a part, by the part's type.
_TEXT_PARTS: Final = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}
#: Most templates know no others than the system and tools.
_ROLES: Final = {"developer": "system", "function": "tool"}


def plain_messages(question: str | Iterable[ChatMessage]) -> Sequence[Message]:
    """The conversation that ``question`` stands for, the text of each turn in one piece.

    Raises:
        EmptyQuestion: it says nothing.
        BadRequest: a message is none, or holds something else than text; ``param`` says which.
    """
    if isinstance(question, str):
        if not question.strip():
            raise EmptyQuestion
        return [{"role": "user", "content": question}]
    if isinstance(question, Mapping | bytes) or not isinstance(question, Iterable):
        raise BadRequest(
            f"messages: pass text or a list of chat messages, not {_kind(question)}", "messages"
        )
    turns = [_turn(message, f"messages[{index}]") for index, message in enumerate(question)]
    if not any(turn["content"] and turn["content"].strip() for turn in turns):
        raise EmptyQuestion
    for index, turn in enumerate(turns):
        if turn["content"] is None:
            if turn["role"] != "assistant":
                path = f"messages[{index}].content"
                raise BadRequest(f"{path}: text is missing", path)
            turn["content"] = ""  # it made calls, or was cut short
    return cast(Sequence[Message], turns)


def _turn(message: object, at: str) -> dict[str, Any]:
    """A turn; its content is None where the message has none."""
    said = _fields(message, at, "a chat message")
    role = said.get("role")
    if not isinstance(role, str) or not role:
        raise BadRequest(f'{at}.role: must say who speaks, such as "user"', f"{at}.role")
    if said.pop("audio", None) is not None:
        raise _not_text("audio", f"{at}.audio")
    # A refusal is what the assistant said instead.
    content, refusal = said.pop("content", None), said.pop("refusal", None)
    calls = [
        _call(call, f"{at}.tool_calls[{index}]")
        for index, call in enumerate(_items(said.pop("tool_calls", None), f"{at}.tool_calls"))
    ]
    if (function := said.pop("function_call", None)) is not None:  # before there were tools
        calls.append(_call({"type": "function", "function": function}, f"{at}.function_call"))
    turn = {key: value for key, value in said.items() if value is not None}
    turn["role"] = _ROLES.get(role, role)
    turn["content"] = _text(refusal if content is None else content, f"{at}.content")
    if calls:
        turn["tool_calls"] = calls
    return turn


def _text(content: object, at: str) -> str | None:
    if content is None or isinstance(content, str):
        return content
    return "".join(
        _part(part, f"{at}[{index}]") for index, part in enumerate(_items(content, at, "text"))
    )


def _part(part: object, at: str) -> str:
    said = _fields(part, at, "a part of a message")
    kind = said.get("type")
    if not isinstance(kind, str):
        raise BadRequest(f'{at}.type: must say what it is, such as "text"', f"{at}.type")
    if kind not in _TEXT_PARTS:
        raise _not_text(kind, at)
    text = said.get(_TEXT_PARTS[kind])
    if not isinstance(text, str):
        path = f"{at}.{_TEXT_PARTS[kind]}"
        raise BadRequest(f"{path}: must be text, not {_kind(text)}", path)
    return text


def _call(call: object, at: str) -> dict[str, Any]:
    """An earlier call, its arguments as data: templates write them themselves."""
    said = _fields(call, at, "a tool call")
    kind = said.get("type", "function")
    if kind not in ("function", "custom"):
        path = f"{at}.type"
        raise BadRequest(f"{path}: calls of {kind!r} cannot be told to the model", path)
    path = f"{at}.{kind}"
    called = _fields(said.get(kind), path, "what was called")
    name = called.get("name")
    if not isinstance(name, str):
        raise BadRequest(f"{path}.name: must be text, not {_kind(name)}", f"{path}.name")
    if kind == "custom":  # a tool that takes text; templates know only functions
        arguments: Any = {"input": called.get("input")}
    else:
        arguments = _arguments(called.get("arguments"), f"{path}.arguments")
    function = {"name": name, "arguments": arguments}
    plain = {key: value for key, value in said.items() if key != kind and value is not None}
    return {**plain, "type": "function", "function": function}


def _arguments(arguments: object, at: str) -> Mapping[str, Any]:
    """An object, or JSON that says one."""
    read = arguments
    if isinstance(read, str):
        try:
            read = orjson.loads(read) if read.strip() else {}
        except ValueError as error:
            raise BadRequest(f"{at}: is not JSON ({error})", at) from None
    if read is None:
        return {}
    if not isinstance(read, Mapping):
        raise BadRequest(f"{at}: must be a JSON object, such as {{}}", at)
    if _deeper(read, _DEPTH):
        raise BadRequest(f"{at}: nested deeper than {_DEPTH}", at)
    return read


def _deeper(value: object, depth: int) -> bool:
    # Level by level, since a walk that recurses would itself be what deep nesting ends.
    level = [value]
    while level and depth >= 0:
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        depth -= 1
    return bool(level)


def _fields(value: object, at: str, what: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return cast(dict[str, Any], dump(exclude_none=True))
    raise BadRequest(
        f"{at}: {what} is a dictionary or an object of the openai package, not {_kind(value)}", at
    )


def _items(value: object, at: str, what: str = "calls") -> Sequence[object]:
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise BadRequest(f"{at}: must be {what} or a list, not {_kind(value)}", at)
    return list(value)


def _not_text(kind: str, at: str) -> BadRequest:
    return BadRequest(f"{at}: {kind} cannot be read, only text: leave it out or describe it", at)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
