"""What a runtime plans its races by (``sharing``).

Offline, ``frontrunner plan`` replays pilot races; there is no time for that when a race begins. So
it leaves these models behind: the step time of the chosen speculation, and the accuracy of B
branches after so many tokens, from the same replays.
"""

from bisect import bisect_right
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from frontrunner.strategies.lengths import LengthModel

from ..common.whole_files import write_whole
from .engine_model import EngineModel
from .profile import read_json
from .schedule import KSchedule


@dataclass(frozen=True, slots=True)
class AccuracyModel:
    """The probability that a race is called rightly, by B and the tokens that a branch reaches."""

    branches: tuple[int, ...]
    """Rising."""
    tokens: tuple[int, ...]
    """Rising."""
    accuracy: tuple[tuple[float, ...], ...]
    """(num_branches, num_tokens), in [0, 1]."""

    def at(self, branches: int, tokens: float) -> float:
        """Of the largest number of branches known that is no more than ``branches``; between two
        numbers of tokens interpolated, before the first falling to none at 0."""
        row = self.accuracy[max(0, bisect_right(self.branches, branches) - 1)]
        right = bisect_right(self.tokens, tokens)
        if right == len(self.tokens):
            return row[-1]
        before, low = (self.tokens[right - 1], row[right - 1]) if right else (0, 0.0)
        return low + (row[right] - low) * (tokens - before) / (self.tokens[right] - before)


@dataclass(frozen=True, slots=True)
class RuntimeModels:
    """All that ``sharing`` needs. Lengths in tokens, times in seconds."""

    engine: EngineModel
    schedule: KSchedule
    accuracy: AccuracyModel
    lengths: LengthModel
    prompt: int
    return_margin: float
    version: int = 1

    def write(self, path: Path) -> None:
        """
        Raises:
            BadRequest: the file cannot be written.
        """
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        write_whole(path, orjson.dumps(asdict(self), option=options))

    @classmethod
    def read(cls, path: Path) -> "RuntimeModels":
        """
        Raises:
            ProfileError: the file cannot be read, or is not what ``frontrunner plan`` writes.
        """
        return read_json(path, _ADAPTER, "not the models of a plan")


_ADAPTER = TypeAdapter(RuntimeModels)
