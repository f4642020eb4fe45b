"""A value as TOML in one line, for files that are written for people."""

from collections.abc import Mapping
from typing import Any

import tomli_w


def toml_value(value: Any) -> str:
    """A value in one line of TOML; a table is an inline one."""
    if isinstance(value, Mapping):
        entries = ", ".join(f"{_key(key)} = {toml_value(entry)}" for key, entry in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(entry) for entry in value)}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").strip()


def _key(key: Any) -> str:
    return tomli_w.dumps({str(key): 0}).removesuffix(" = 0\n")
