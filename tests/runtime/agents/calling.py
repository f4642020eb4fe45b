"""An engine whose branches call tools, turn by turn."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine

#: What one branch says in each of its turns.
Turns = Sequence[BranchScript]

SETTINGS = Settings.from_dict({"answers": {"workers": 0}})


def call(name: str, arguments: Mapping[str, Any] | str, seconds: float = 1.0) -> BranchScript:
    """A turn that ends with a call."""
    said = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    text = f'<tool_call>{{"name": "{name}", "arguments": {said}}}</tool_call>'
    return BranchScript((Piece(seconds / 2, "Let me see. "), Piece(seconds / 2, text)))


def says(answer: str, seconds: float = 1.0) -> BranchScript:
    return BranchScript.answering(answer, seconds=seconds, tokens=2)


class CallingEngine(ScriptedEngine):
    """Branch ``i`` plays ``branches[i % len(branches)]``, a script for each of its turns; after the
    last one it begins anew. Races after the first one play ``later`` in their order."""

    def __init__(self, branches: Sequence[Turns], *later: Sequence[Turns], **more: Any) -> None:
        super().__init__(Script([BranchScript()], chooser=self._choose), **more)
        self._races: list[str] = []
        self._played = (branches, *later)

    def _choose(self, request: Generation) -> BranchScript | None:
        if request.forced:
            return None
        if request.race not in self._races:
            self._races.append(request.race)
        branches = self._played[min(self._races.index(request.race), len(self._played) - 1)]
        turns = branches[request.branch % len(branches)]
        _, _, turn = request.request_id.partition("-t")
        return turns[int(turn or 0) % len(turns)]


def fails(seconds: float = 0.5) -> BranchScript:
    return BranchScript((Piece(seconds, "x "),), error="lost")
