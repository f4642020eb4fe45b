"""Settings as TOML: the standard library reads it and does not write it."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml(tables: Mapping[str, Any]) -> str:
    """A TOML document of nested tables of texts, numbers, switches and lists of these.

    Raises:
        TypeError: a value is of another type.
    """
    return "\n".join(_table("", tables)).lstrip("\n") + "\n"


def _table(name: str, table: Mapping[str, Any]) -> list[str]:
    values = {k: v for k, v in table.items() if v is not None and not isinstance(v, Mapping)}
    tables = {k: v for k, v in table.items() if isinstance(v, Mapping)}
    lines = ["", f"[{name}]"] if name and values else []
    lines += [f"{_key(key)} = {_value(value)}" for key, value in values.items()]
    for key, value in tables.items():
        lines += _table(f"{name}.{_key(key)}" if name else _key(key), value)
    return lines


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case list() | tuple():
            return f"[{', '.join(_value(item) for item in value)}]"
        case Mapping():
            pairs = (f"{_key(str(k))} = {_value(v)}" for k, v in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case _:
            raise TypeError(f"TOML has no {type(value).__name__}")


def _text(text: str) -> str:
    # A JSON text is a TOML one, but for the character that TOML wants escaped.
    return orjson.dumps(text).decode().replace("\x7f", "\\u007f")
