"""Calls whose arguments are elements of their own, as MiniMax-M3 writes them.

Each tag has a namespace before it, so that what looks like a tag in a value is none. Elements nest:
one that holds ``<item>`` elements is a list, one that holds others an object, and a name that comes
again makes a list of its values.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from ..json_values import MAX_DEPTH, NoValueError
from .calls import Offered, value_of
from .payload import Read, skip_space

NAMESPACE: Final = "]<]minimax[>["
_PREFIX: Final = re.escape(NAMESPACE)
#: The mark of such a call. Without the namespace it is one of ``markup``.
INVOCATION: Final = rf"{_PREFIX}<invoke\s+name\s*=\s*[\"']?(?P<invoked>[^\"'<>]{{1,256}})[\"']?\s*>"
_PARAMETER: Final = f"{NAMESPACE}<parameter"
_START: Final = re.compile(rf"{_PREFIX}<(?P<name>[^<>/\s][^<>]{{0,255}})>")
_END: Final = f"{NAMESPACE}</"
_ITEM: Final = "item"
_Schema = Mapping[str, Any]


def without_namespace(text: str) -> str:
    """``text`` in which tags need no namespace: all but calls with elements as arguments."""
    named = f"{NAMESPACE}<invoke" in text and _PARAMETER not in text
    return text if named else text.replace(NAMESPACE, "")


def read_elements(text: str, match: re.Match[str], tools: Offered) -> Read | None:
    """The call of an ``INVOCATION``; None if it is broken or unfinished."""
    name = match["invoked"].strip()
    schema = tools.schemas.get(name, {})
    try:
        entries, end = _children(text, match.end(), "invoke", schema, 0)
    except NoValueError:
        return None
    arguments = _object(entries) if isinstance(entries, list) else {}
    return Read([{"name": name, "arguments": arguments}], end)


def _children(
    text: str, position: int, name: str, schema: _Schema, depth: int
) -> tuple[list[tuple[str, Any]] | str, int]:
    """What the element of ``name`` holds whose tag ends at ``position``, entries or a text, and
    where its closing tag ends.

    Raises:
        NoValueError: if that is missing, or stands elsewhere, or there is text beside entries.
    """
    if depth > MAX_DEPTH:
        raise NoValueError(position)
    closing = f"{_END}{name}>"
    begin, entries = position, list[tuple[str, Any]]()
    while True:
        position = skip_space(text, position) if entries or not depth else position
        mark = text.find(NAMESPACE, position)
        if mark < 0 or (entries and mark > position):
            raise NoValueError(position)
        if text.startswith(closing, mark):
            said = text[begin:mark]
            return (entries if entries or not depth else said), mark + len(closing)
        child = _START.match(text, mark)
        if child is None or text[position:mark].strip():
            raise NoValueError(mark)
        inner = _schema_of(schema, child["name"])
        held, position = _children(text, child.end(), child["name"], inner, depth + 1)
        entries.append((child["name"], _value(held, inner)))


def _value(held: list[tuple[str, Any]] | str, schema: _Schema) -> Any:
    kind = schema.get("type")
    if isinstance(held, str):
        if kind in ("array", "object") and not held.strip():
            return [] if kind == "array" else {}  # as the template writes an empty one
        return held if kind == "string" else value_of(held)
    if kind == "array" or (kind is None and all(name == _ITEM for name, _ in held)):
        return [value for _, value in held]
    return _object(held)


def _object(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, list[Any]] = {}
    for name, value in entries:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _schema_of(schema: _Schema, name: str) -> _Schema:
    """That of what an element of ``name`` holds, where it is known."""
    properties = schema.get("properties")
    inner = properties.get(name) if isinstance(properties, Mapping) else schema.get("items")
    return inner if isinstance(inner, Mapping) else {}
