"""What stands behind a mark that says that calls follow: JSON, Python's notation, or both."""

import re
from dataclasses import dataclass
from typing import Any, Final

from ..json_values import NoValueError, value_at
from .calls import Call, Offered, calls_in, value_of
from .literals import invocation_at, invocations_at, literal_at


@dataclass(frozen=True, slots=True)
class Read:
    """Calls, and where in the text they end."""

    calls: list[Call]
    end: int


_SPACE: Final = re.compile(r"\s*+")
_FENCE: Final = re.compile(r"\s*+```[\w+-]*+\s*+")
# One call after another.
_SEPARATOR: Final = re.compile(r"\s*+[,;]?\s*+")
# What is left over of brackets that did not match: the call was broken.
_LEFT_OVER: Final = re.compile(r"\s*+[}\]):\"]")
# An argument's object follows the name at once, or in a code block.
NAME: Final = re.compile(r"[\w.-]{1,128}")


def value_or_literal(text: str, start: int) -> tuple[Any, int]:
    """The JSON value, or else the Python literal, that begins at ``start``.

    Raises:
        NoValueError: if there is neither.
    """
    try:
        return value_at(text, start)
    except NoValueError:
        return literal_at(text, start)


def read_payload(text: str, start: int, tools: Offered) -> Read | None:
    """The calls that begin at ``start``, one or several; None if what begins there is none."""
    fence = _FENCE.match(text, start)
    position = fence.end() if fence is not None else skip_space(text, start)
    calls: list[Call] = []
    while True:
        read = _one(text, position, tools)
        if read is None:
            return None
        calls += read.calls
        separator = _SEPARATOR.match(text, read.end)
        position = separator.end() if separator is not None else read.end
        if not _goes_on(text, position, read.end):
            return None if _LEFT_OVER.match(text, read.end) else Read(calls, read.end)


def arguments_at(text: str, start: int, name: str) -> Read | None:
    """A call of ``name`` with the object at ``start``, which may stand in a code block, or in a
    string as JSON of its own."""
    fence = _FENCE.match(text, start)
    position = fence.end() if fence is not None else skip_space(text, start)
    if not text.startswith(("{", '"{'), position):
        return None
    try:
        arguments, end = value_or_literal(text, position)
    except NoValueError:
        return None
    if isinstance(arguments, str):
        arguments = value_of(arguments)
    if not isinstance(arguments, dict) or _LEFT_OVER.match(text, end):
        return None
    return Read([{"name": name, "arguments": arguments}], end)


def skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match is not None else position


def _goes_on(text: str, position: int, end: int) -> bool:
    if text.startswith(("{", "[{"), position):
        return True
    # Calls in Python's notation stand on lines of their own.
    return "\n" in text[end:position] and _is_invocation(text, position)


def _is_invocation(text: str, position: int) -> bool:
    match = NAME.match(text, position)
    return match is not None and text.startswith("(", match.end())


def is_invocation_list(text: str, position: int) -> bool:
    return text.startswith("[", position) and _is_invocation(text, skip_space(text, position + 1))


def _one(text: str, position: int, tools: Offered) -> Read | None:
    try:
        if is_invocation_list(text, position):
            return Read(*invocations_at(text, position))
        if text.startswith(("{", "["), position):
            value, end = value_or_literal(text, position)
            calls = calls_in(value, tagged=True)
            if calls is None:
                calls = _by_name(value)
            return None if calls is None else Read(calls, end)
        if _is_invocation(text, position):
            call, end = invocation_at(text, position)
            return Read([call], end)
    except NoValueError:
        return None
    name = NAME.match(text, position)
    return arguments_at(text, name.end(), name[0]) if name is not None else None


def _by_name(value: Any) -> list[Call] | None:
    """Calls written as ``[{"name": {arguments}}]`` (Apertus)."""
    if not isinstance(value, list) or not value:
        return None
    entries = [entry for entry in value if isinstance(entry, dict) and len(entry) == 1]
    pairs = [pair for entry in entries for pair in entry.items()]
    if len(pairs) != len(value) or not all(isinstance(inner, dict) for _, inner in pairs):
        return None
    return [{"name": name, "arguments": inner} for name, inner in pairs]
