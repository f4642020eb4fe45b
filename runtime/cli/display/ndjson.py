"""Events as lines of JSON."""

from dataclasses import fields
from typing import Any

import orjson

from ...events.types import Event


def event_line(event: Event, **more: Any) -> bytes:
    """``{"event": type, …fields}`` with a line feed; ``more`` comes right after the type."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return json_line({"event": event.type, **more, **values})


def json_line(data: Any) -> bytes:
    """One value as one line. Numbers that JSON does not have become null."""
    try:
        return orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # The text of a remote model may hold lone surrogates, which UTF-8 does not have.
        return orjson.dumps(_printable(data), option=orjson.OPT_APPEND_NEWLINE)


def _printable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_printable(key): _printable(item) for key, item in value.items()}
        case list() | tuple():
            return [_printable(item) for item in value]
        case _ if hasattr(value, "__dataclass_fields__"):
            return {f.name: _printable(getattr(value, f.name)) for f in fields(value)}
        case _:
            return value
