"""What was said earlier in a conversation, as chat templates take it, in both APIs."""

from collections.abc import Mapping
from typing import Any, Final

from ...engines.protocol import Message
from ..errors import BadParameter
from .limits import parse_json

#: How deep the arguments of a call may be nested: chat templates walk through them recursively.
_DEPTH: Final = 64


def turn(role: str, content: str, **more: Any) -> Message:
    """A turn; of ``more``, what is not None goes with it.

    A developer is the system, and a function, as they were called before there were tools, a tool:
    most templates know no others.
    """
    role = {"developer": "system", "function": "tool"}.get(role, role)
    said = {key: value for key, value in more.items() if value is not None}
    told: Any = {"role": role, "content": content, **said}
    return told


def function_call(
    name: str, arguments: str | Mapping[str, Any] | None, param: str, call_id: str | None = None
) -> dict[str, Any]:
    """A call of a function that an assistant's turn made.

    Args:
        arguments: an object, or JSON that says one. Templates write it themselves, and want data.
        param: where ``arguments`` stand in the request.

    Raises:
        BadParameter: they are none.
    """
    read: Any = arguments or {}
    if isinstance(read, str):
        read = parse_json(read, _DEPTH, param) if read.strip() else {}
    if not isinstance(read, Mapping):
        raise BadParameter(f"{param}: must be a JSON object, such as {{}}", param)
    called: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": read}}
    return called if call_id is None else {"id": call_id, **called}


def custom_call(name: str, said: str, call_id: str | None = None) -> dict[str, Any]:
    """A call of a tool that takes text: templates know only functions, so it is an argument."""
    return function_call(name, {"input": said}, "", call_id)


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
