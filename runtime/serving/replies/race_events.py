"""The race's own events on the wire, beside those of OpenAI's APIs."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from ...events.types import BranchProgressed, Event, RaceDecided
from ..runs.frames import Frame, JsonFrame, TextFrame
from .race_summary import summary

#: What an event is called on the wire, by its ``type``.
NAMES: Final = {
    "race_started": "frontrunner.race.started",
    "branch_started": "frontrunner.branch.started",
    "branch_progressed": "frontrunner.branch.delta",
    "branch_forcing": "frontrunner.branch.forcing",
    "branch_probed": "frontrunner.branch.probed",
    "branch_scored": "frontrunner.branch.scored",
    "branch_extended": "frontrunner.branch.extended",
    "branch_ended": "frontrunner.branch.ended",
    "tool_called": "frontrunner.tool.called",
    "tool_returned": "frontrunner.tool.returned",
    "vote_changed": "frontrunner.vote",
    "call_time_reached": "frontrunner.call_time",
    "race_decided": "frontrunner.race.decided",
}


def extra_payload(event: Event) -> dict[str, Any]:
    """``{"type": …}`` with the event's fields; of a decided race its summary."""
    if isinstance(event, RaceDecided):
        return {"type": NAMES[event.type], "at": event.at, **summary(event.result)}
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return {"type": NAMES[event.type], **values}


def extra_frame(event: Event, *, named: bool = False, numbered: str | None = None) -> Frame:
    """The message of an event; pieces of a branch's text can be joined.

    Args:
        event: any but the last, which an API has a message of its own for.
        named: the message also has its type as the name in an event stream.
        numbered: the field that says its number.
    """
    name = NAMES[event.type]
    if not isinstance(event, BranchProgressed):
        return JsonFrame(extra_payload(event), event=name if named else None, numbered=numbered)

    def wrap(text: str, tokens: int) -> Mapping[str, Any]:
        return {
            "type": name,
            "at": event.at,
            "branch": event.branch,
            "text": text,
            "tokens": tokens,
            "forced": event.forced,
        }

    return TextFrame(
        event.text,
        wrap,
        key=f"branch {event.branch} {event.forced}",
        tokens=event.tokens,
        event=name if named else None,
        numbered=numbered,
    )
