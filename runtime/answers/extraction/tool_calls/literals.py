"""Values in Python's notation, and in Gemma's, which has bare keys and string marks of its own.

Read by hand and not by ``ast``: that has no limits, warns about escapes in what a model wrote, and
knows floats alone where equal numbers should be equal answers.
"""

import re
from typing import Any, Final

from ..json_values import MAX_DEPTH, NoValueError, number

_SPACE: Final = re.compile(r"\s*")
_NUMBER: Final = re.compile(
    r"[-+]?(?:\d++(?:_\d++)*+(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?(?![\w.])"
)
_STRING: Final = re.compile(
    r"[rRuU]?(?:\"\"\"(?P<a>(?:[^\\\"]|\\.|\"(?!\"\"))*+)\"\"\"|'''(?P<b>(?:[^\\']|\\.|'(?!''))*+)'''"
    r"|\"(?P<c>(?:[^\\\"]|\\.)*+)\"|'(?P<d>(?:[^\\']|\\.)*+)')",
    re.DOTALL,
)
#: Gemma's string marks: the same before and after.
_MARKS: Final = ('<|"|>', "<escape>")
_NAME: Final = re.compile(r"[^\W\d]\w{0,127}(?:[.-]\w{1,127}){0,8}")
_CONSTANTS: Final = {
    "True": True, "False": False, "None": None, "true": True, "false": False, "null": None,
}  # fmt: skip
_ESCAPE: Final = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|\n|.)", re.DOTALL
)
_ESCAPED: Final = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0",
    "\\": "\\", "'": "'", '"': '"', "\n": "",
}  # fmt: skip


def literal_at(text: str, start: int, depth: int = 0) -> tuple[Any, int]:
    """The literal that begins at ``start``, and where it ends.

    Raises:
        NoValueError: if none begins there, or one beyond the limits.
    """
    position = _skip(text, start)
    sign = text[position : position + 1]
    if depth > MAX_DEPTH:
        raise NoValueError(position)
    if sign == "{":
        return object_at(text, position, depth + 1)
    if sign in ("[", "("):
        return _sequence(text, position, "]" if sign == "[" else ")", depth + 1)
    if (string := _string(text, position)) is not None:
        return string
    if (match := _NUMBER.match(text, position)) is not None:
        return number(match[0].replace("_", "")), match.end()
    match = _NAME.match(text, position)
    if match is not None and match[0] in _CONSTANTS:
        return _CONSTANTS[match[0]], match.end()
    raise NoValueError(position)


def invocation_at(text: str, start: int) -> tuple[dict[str, Any], int]:
    """The call ``name(key=literal, …)`` that begins at ``start``, and where it ends.

    Raises:
        NoValueError: if none begins there: a positional argument has no name.
    """
    match = _NAME.match(text, start)
    if match is None or not text.startswith("(", match.end()):
        raise NoValueError(start)
    arguments, end = _entries(text, match.end() + 1, "=", ")", 0)
    return {"name": match[0], "arguments": arguments}, end


def invocations_at(text: str, start: int) -> tuple[list[dict[str, Any]], int]:
    """The calls in the list ``[f(x=1), g()]`` whose bracket is at ``start``.

    Raises:
        NoValueError: if what stands there is none.
    """
    calls: list[dict[str, Any]] = []
    position = _skip(text, start + 1)
    while not text.startswith("]", position):
        call, position = invocation_at(text, position)
        calls.append(call)
        position = _next(text, position, "]")
    return calls, position + 1


def object_at(text: str, start: int, depth: int = 0) -> tuple[dict[str, Any], int]:
    """The ``{key: value, …}`` whose bracket is at ``start``; keys are strings, or bare names."""
    return _entries(text, start + 1, ":", "}", depth)


def _entries(
    text: str, position: int, between: str, close: str, depth: int
) -> tuple[dict[str, Any], int]:
    entries: dict[str, Any] = {}
    position = _skip(text, position)
    while not text.startswith(close, position):
        key, position = _key(text, position)
        position = _expect(text, position, between)
        if key in entries:
            raise NoValueError(position)
        entries[key], position = literal_at(text, position, depth)
        position = _next(text, position, close)
    return entries, position + 1


def _sequence(text: str, position: int, close: str, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    position = _skip(text, position + 1)
    while not text.startswith(close, position):
        item, position = literal_at(text, position, depth)
        items.append(item)
        position = _next(text, position, close)
    return items, position + 1


def _key(text: str, position: int) -> tuple[str, int]:
    if (match := _NAME.match(text, position)) is not None:
        return match[0], match.end()
    if (string := _string(text, position)) is not None:
        return string
    raise NoValueError(position)


def _next(text: str, position: int, close: str) -> int:
    """Where the next entry begins, or the closing bracket stands."""
    position = _skip(text, position)
    return position if text.startswith(close, position) else _expect(text, position, ",")


def _expect(text: str, position: int, sign: str) -> int:
    position = _skip(text, position)
    if not text.startswith(sign, position):
        raise NoValueError(position)
    return _skip(text, position + len(sign))


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match is not None else position


def _string(text: str, position: int) -> tuple[str, int] | None:
    """The string that begins at ``position``, and where it ends; None if none does."""
    for mark in _MARKS:
        if text.startswith(mark, position):
            start = position + len(mark)
            end = text.find(mark, start)
            return (text[start:end], end + len(mark)) if end >= 0 else None
    match = _STRING.match(text, position)
    return None if match is None else (_unescaped(match), match.end())


def _unescaped(match: re.Match[str]) -> str:
    inner = next(group for group in match.groups() if group is not None)
    return inner if match[0][0] in "rR" else _ESCAPE.sub(_character, inner)


def _character(match: re.Match[str]) -> str:
    escape = match[0][1:]
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return _ESCAPED.get(escape, match[0])
