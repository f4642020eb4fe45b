"""JSON of whatever there is to say, a model's text included."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import orjson


def json_bytes(value: Any) -> bytes:
    """``value`` as JSON. What JSON cannot say becomes what is closest: numbers that it does not
    have null, lone surrogates (which models write, and UTF-8 does not have) question marks."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_sayable(value))


def _sayable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case bool() | float() | None:
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else float(value)
        case Mapping():
            return {str(_sayable(key)): _sayable(item) for key, item in value.items()}
        case list() | tuple():
            return [_sayable(item) for item in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {f.name: _sayable(getattr(value, f.name)) for f in fields(value)}
        case _:
            return str(value)
