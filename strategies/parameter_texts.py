"""Parameters as people write them: ``key=value``."""

import json
from typing import Any


def parse_parameter(text: str) -> tuple[str, Any]:
    """The name and the value in ``key=value``.

    Raises:
        ValueError: it is not of this form, or the key is no name.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key.isidentifier():
        raise ValueError(f"not of the form key=value: {text!r}")
    return key, parse_value(value)


def parse_value(text: str) -> Any:
    """``true``, ``false``, numbers and JSON become values; all else is the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float, json.loads):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def spelled(value: Any) -> str:
    """A value that ``parse_value`` reads again."""
    return str(value).lower() if isinstance(value, bool) else str(value)
