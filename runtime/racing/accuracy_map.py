"""How likely an answer is right, by the confidence that its race had.

A confidence says how likely the model prefers its answer, and a model may agree with itself and be
wrong. What such a confidence is worth is measured on questions with known answers
(``experiments.accuracy``) and written to a file, which ``[race] calibration`` names.
"""

from bisect import bisect_right
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from ..errors import ConfigError


@dataclass(frozen=True, slots=True)
class AccuracyStep:
    """What races were worth from one confidence up to the next."""

    confidence: float
    """The least of them."""
    accuracy: float
    """The share of them that was right, smoothed; 0 to 1."""
    races: int


@dataclass(frozen=True, slots=True)
class AccuracyMap:
    """From confidence to accuracy.

    Attributes:
        finished: for races that finished branches decided, by rising confidence.
        forced: for those in which nothing had finished, likewise; empty: none were seen.
        strategy, branches, questions: what it was measured with.
    """

    finished: tuple[AccuracyStep, ...]
    forced: tuple[AccuracyStep, ...]
    strategy: str
    branches: int
    questions: int
    frontrunner_accuracy: Literal[1] = 1

    def estimate(self, confidence: float, *, forced: bool) -> float | None:
        """How likely an answer of this confidence is right; ``forced``: no finished branch gave it.
        None: nothing is known of such races."""
        steps = self.forced if forced else self.finished
        if not steps:
            return None
        at = bisect_right([step.confidence for step in steps], confidence + 1e-9)
        return steps[max(0, at - 1)].accuracy

    def json(self) -> bytes:
        """As a file holds it."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def read(cls, path: str | Path) -> "AccuracyMap":
        """
        Raises:
            ConfigError: the file cannot be read, or is none of ``frontrunner calibrate``.
        """
        try:
            return TypeAdapter(cls).validate_json(Path(path).read_bytes())
        except OSError as error:
            problem = f"{path} cannot be read ({error.strerror})"
            raise ConfigError("race.calibration", problem) from error
        except ValidationError as error:
            problem = f"{path} is no file of frontrunner calibrate --accuracy"
            raise ConfigError("race.calibration", problem) from error
