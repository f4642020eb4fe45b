"""Reading events back from lines of JSON, as ``solve --json`` writes them."""

from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from . import types as events

_ADAPTERS: Final[dict[str, TypeAdapter[events.Event]]] = {
    kind.type: TypeAdapter(kind)
    for kind in (
        events.RaceStarted,
        events.BranchStarted,
        events.BranchProgressed,
        events.BranchForcing,
        events.BranchProbed,
        events.BranchScored,
        events.BranchExtended,
        events.BranchEnded,
        events.ToolCalled,
        events.ToolReturned,
        events.VoteChanged,
        events.CallTimeReached,
        events.RaceDecided,
    )
}


def read_event(line: str | bytes) -> events.Event:
    """The event that a line tells.

    Fields that this version does not know are passed over, and those that an earlier one did not
    write have their defaults.

    Raises:
        ValueError: it is no such line.
    """
    data: Any = orjson.loads(line)
    name = data.get("event") if isinstance(data, dict) else None
    adapter = _ADAPTERS.get(name) if isinstance(name, str) else None
    if adapter is None:
        raise ValueError(f"no event of a race: {name!r}")
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        raise ValueError(f"{name}: {error}") from error
