"""What was said earlier in a conversation, as chat templates take it: by callers in this process,
and in the requests of OpenAI's APIs.

Templates take text: a list of parts would reach the model as Python spells it, so what is not text
is refused. They write the arguments of calls themselves, and want data. ``at`` is always the path
of what is read, which errors name: ``messages[3].content[1]``, ``input[2].arguments``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import orjson

from ..engines.protocol import Message
from ..errors import BadRequest


class Dumping(Protocol):
    """A pydantic object, such as a message of the openai package."""

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]: ...


#: One turn of a conversation in OpenAI's form.
ChatMessage = Mapping[str, Any] | Dumping

#: The value of JSON text, nested at most so deep, that stands at a path; it raises ``BadRequest``.
ParseJson = Callable[[str, int, str], Any]

#: How deep the arguments of a call may be nested: templates walk through them recursively.
_DEPTH: Final = 64
#: Where the text stands in a part, by the part's type.
_TEXT_PARTS: Final = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "reasoning_text": "text",
    "summary_text": "text",
    "refusal": "refusal",
}
#: A developer is the system, and a function, as they were called before there were tools, a tool:
#: most templates know no others.
_ROLES: Final = {"developer": "system", "function": "tool"}


def parse_json(text: str, depth: int, at: str) -> Any:
    """The value that ``text`` says.

    Raises:
        BadRequest: it is no JSON, or nested deeper than ``depth``.
    """
    try:
        value = orjson.loads(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise BadRequest(f"{at}: is not JSON ({error})", at) from None
    if _deeper(value, depth):
        raise BadRequest(f"{at}: nested deeper than {depth}", at)
    return value


def turn(role: str, content: str, **more: Any) -> Message:
    """A turn; of ``more``, what is not None goes with it."""
    said = {key: value for key, value in more.items() if value is not None}
    told: Any = {"role": _ROLES.get(role, role), "content": content, **said}
    return told


def read_message(
    message: object, at: str, parse: ParseJson = parse_json
) -> tuple[dict[str, Any], bool]:
    """A message of a chat as a turn, and whether it has a content.

    Args:
        parse: reads the arguments of calls.

    Raises:
        BadRequest: it is none, or holds something else than text.
    """
    said = _fields(message, at, "a chat message")
    role = said.pop("role", None)
    if not isinstance(role, str) or not role:
        raise BadRequest(f'{at}.role: must say who speaks, such as "user"', f"{at}.role")
    if said.pop("audio", None) is not None:
        raise _not_text("audio", f"{at}.audio")
    # A refusal is what the assistant said instead.
    content, refusal = said.pop("content", None), said.pop("refusal", None)
    calls = [
        read_call(call, f"{at}.tool_calls[{index}]", parse)
        for index, call in enumerate(_items(said.pop("tool_calls", None), f"{at}.tool_calls"))
    ]
    if (function := said.pop("function_call", None)) is not None:  # before there were tools
        legacy = {"type": "function", "function": function}
        calls.append(read_call(legacy, f"{at}.function_call", parse, f"{at}.function_call"))
    # What some servers call it.
    reasoning = said.pop("reasoning_content", None) or said.pop("reasoning", None)
    text = read_text(content or refusal or content, f"{at}.content")
    told = {**said, "reasoning_content": reasoning or None, "tool_calls": calls or None}
    return cast(dict[str, Any], turn(role, text or "", **told)), text is not None


def read_text(content: object, at: str) -> str | None:
    """A message's text in one piece; None where it has none.

    Raises:
        BadRequest: a part of it is none, or is not text.
    """
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


# ── calls ─────────────────────────────────────────────────────────────────────────────────────


def read_call(
    call: object, at: str, parse: ParseJson = parse_json, function_at: str | None = None
) -> dict[str, Any]:
    """An earlier call of a chat, its arguments as data.

    Args:
        function_at: the path of what was called, where it does not stand in the call.

    Raises:
        BadRequest: it is none.
    """
    said = _fields(call, at, "a tool call")
    kind = said.pop("type", "function")
    if kind not in ("function", "custom"):
        path = f"{at}.type"
        raise BadRequest(f"{path}: calls of {kind!r} cannot be told to the model", path)
    path = function_at or f"{at}.{kind}"
    called = _fields(said.pop(kind, None), path, "what was called")
    name = called.get("name")
    if not isinstance(name, str):
        raise BadRequest(f"{path}.name: must be text, not {_kind(name)}", f"{path}.name")
    plain = {key: value for key, value in said.items() if value is not None}
    if kind == "custom":
        return {**plain, **custom_call(name, called.get("input"))}
    return {**plain, **function_call(name, called.get("arguments"), f"{path}.arguments", parse)}


def function_call(
    name: str,
    arguments: object,
    at: str,
    parse: ParseJson = parse_json,
    call_id: str | None = None,
) -> dict[str, Any]:
    """A call of a function that an assistant's turn made.

    Args:
        arguments: an object, or JSON that says one; None or empty: there are none.
        at: where they stand.
        parse: reads them.

    Raises:
        BadRequest: they are none.
    """
    read = arguments
    if isinstance(read, str):
        read = parse(read, _DEPTH, at) if read.strip() else {}
    elif read is None:
        read = {}
    if not isinstance(read, Mapping):
        raise BadRequest(f"{at}: must be a JSON object, such as {{}}", at)
    if read is arguments and _deeper(read, _DEPTH):
        raise BadRequest(f"{at}: nested deeper than {_DEPTH}", at)
    called: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": read}}
    return called if call_id is None else {"id": call_id, **called}


def custom_call(name: str, said: object, call_id: str | None = None) -> dict[str, Any]:
    """A call of a tool that takes text: templates know only functions, so it is an argument."""
    return function_call(name, {"input": said}, "", call_id=call_id)


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


# ── replies in pieces ─────────────────────────────────────────────────────────────────────────


class History:
    """Turns that are put together from the items of the Responses API, where reasoning, text and
    calls of one reply are items of their own."""

    def __init__(self) -> None:
        self.turns: list[Message] = []
        self._reasoning: list[str] = []  # of the reply that comes next

    def say(self, role: str, content: str, **more: Any) -> None:
        """Add a turn."""
        self.turns.append(turn(role, content, reasoning_content=self._reasoned(role), **more))

    def reason(self, text: str) -> None:
        """Add reasoning, which belongs to the text or call behind it."""
        if text:
            self._reasoning.append(text)

    def call(self, call: Mapping[str, Any]) -> None:
        """Add a call to the assistant's turn; several in a row are one turn."""
        if not self.turns or self.turns[-1]["role"] != "assistant":
            self.say("assistant", "", tool_calls=[call])
            return
        last: Any = self.turns[-1]
        if reasoned := self._reasoned("assistant"):
            before = last.get("reasoning_content")
            last["reasoning_content"] = f"{before}\n\n{reasoned}" if before else reasoned
        last.setdefault("tool_calls", []).append(call)

    def _reasoned(self, role: str) -> str | None:
        said, self._reasoning = "\n\n".join(self._reasoning), []
        return said or None if role == "assistant" else None


# ── plain data, and objects of the openai package ─────────────────────────────────────────────


def _fields(value: object, at: str, what: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        said = dict(cast(Mapping[object, Any], value))
        if odd := [key for key in said if not isinstance(key, str)]:
            raise BadRequest(f"{at}: names of fields are text, not {odd[0]!r:.40}", at)
        return cast(dict[str, Any], said)
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
