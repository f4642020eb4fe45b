"""What a runtime plans each race by: B from the deadline left and the load of the moment.

Offline, ``frontrunner plan`` replays pilot races; there is no time for that when a race begins. So
it leaves these models behind: the step time of the chosen speculation, and the accuracy of B
branches after so many tokens, from the same replays.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from frontrunner.strategies.lengths import LengthModel

from .clock import Pace, TokenClock
from .engine_model import EngineModel
from .profile import read_json, write_whole
from .schedule import KSchedule

#: What the reserve is over the rounds of forced answers seen (``runtime.reserve``).
_HEADROOM = 1.2
#: Accuracy (share) below which a gain is none.
_TOLERANCE = 0.005
#: Measured steps change the model's by no more than this factor, up or down.
_MOST_CORRECTION = 4.0


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
    """All that ``plan_branches`` needs. Lengths in tokens, times in seconds."""

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
            ProfileError: the file cannot be written.
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


@dataclass(frozen=True, slots=True)
class Load:
    """What runs beside a race that is about to begin."""

    races: int = 0
    running: int = 0
    """Their branches."""
    step_seconds: float | None = None
    """The engine's slow step of late (``EngineLoad.step_seconds``)."""


def plan_branches(
    models: RuntimeModels,
    deadline_left: float,
    load: Load,
    *,
    most: int,
    prompt: int | None = None,
) -> int:
    """How many branches a race should ask for that has ``deadline_left`` seconds.

    The fewest that are expected to be as accurate as any number up to ``most``. Each number is
    judged in the batch that it would make if the other races had as many: who takes more than its
    share slows down all, and the next race would do the same.

    Args:
        prompt: tokens of the question; None: as the profile's questions.
    """
    factor = step_correction(models, load)
    counts = [b for b in models.accuracy.branches if b <= most] or [1]
    expected = [
        models.accuracy.at(b, reached_tokens(models, b, deadline_left, load, factor, prompt))
        for b in counts
    ]
    top = max(expected)
    return next(b for b, e in zip(counts, expected, strict=True) if e >= top - _TOLERANCE)


def reached_tokens(
    models: RuntimeModels,
    branches: int,
    deadline_left: float,
    load: Load,
    factor: float = 1.0,
    prompt: int | None = None,
) -> float:
    """Tokens that each of ``branches`` branches has generated when the race is called."""
    others = max(load.running, load.races * branches)
    engine = models.engine
    tokens = models.prompt if prompt is None else prompt
    clock = TokenClock(
        Pace(engine.step, engine.acceptance, models.schedule),
        typical_lengths(models.lengths, branches),
        prompt=tokens,
        launch=factor * engine.launch.seconds(branches, tokens),
        others=others,
        factor=factor,
    )
    reserve = _HEADROOM * factor * engine.forced.seconds(branches) + models.return_margin
    return clock.tokens(max(0.0, deadline_left - reserve))


def step_correction(models: RuntimeModels, load: Load) -> float:
    """Measured steps over the model's: machines are shared, and clocks throttle."""
    if load.step_seconds is None or load.running == 0:
        return 1.0
    context = models.prompt + models.lengths.median / 2
    k = models.schedule(load.running)
    usual = models.engine.slow_step * models.engine.step.seconds(load.running, context, k)
    if usual <= 0:
        return 1.0
    ratio = load.step_seconds / usual
    return min(_MOST_CORRECTION, max(1 / _MOST_CORRECTION, ratio))


def typical_lengths(lengths: LengthModel, branches: int) -> Sequence[int]:
    """Lengths of so many branches, evenly spread over the model's quantiles."""
    return [max(1, round(lengths.quantile((i + 0.5) / branches))) for i in range(branches)]
