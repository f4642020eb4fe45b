"""Events as lines of JSON."""

from dataclasses import fields
from typing import Any

from ...common.json_bytes import json_bytes
from ...events.types import Event


def event_line(event: Event, **more: Any) -> bytes:
    """``{"event": type, …fields}`` with a line feed; ``more`` comes right after the type."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return json_line({"event": event.type, **more, **values})


def json_line(data: Any) -> bytes:
    """One value as one line; see ``json_bytes`` for what JSON cannot say."""
    return json_bytes(data) + b"\n"
