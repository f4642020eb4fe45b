"""What the branches of a simulated engine write, from a model of lengths and answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from random import Random
from typing import Protocol

from frontrunner.strategies.lengths import LengthModel

from .protocol import Generation

#: How a branch says its answer.
CLOSING = "\\boxed{{{}}}"


@dataclass(frozen=True, slots=True)
class PlannedOutput:
    """All that a request will write: ``tokens`` tokens, the last of which is ``ending``."""

    tokens: int
    ending: str

    def token(self, index: int, position: int) -> str:
        """The text of token ``index``, at ``position`` of the whole context."""
        return self.ending if index == self.tokens - 1 else f"w{position} "


class Workload(Protocol):
    """Says what a request writes."""

    def output_of(self, request: Generation, written: int) -> PlannedOutput:
        """What ``request`` writes; a forced one continues a branch of ``written`` tokens."""
        ...


@dataclass(frozen=True, slots=True)
class SampledWorkload:
    """Lengths from a log-normal, answers from a distribution; the request's seed draws both.

    ``answers`` maps an answer to its probability among finished branches. A branch forced early
    answers from ``guesses``.
    """

    lengths: LengthModel
    answers: Mapping[str, float]
    guesses: Mapping[str, float] | None = None

    def output_of(self, request: Generation, written: int) -> PlannedOutput:
        key = (request.seed, request.branch) if request.seed is not None else request.request_id
        rng = Random(f"{key}/{request.forced}")
        if request.forced:
            answer = _drawn(rng, self.guesses or self.answers)
            return PlannedOutput(2, f"{answer}}}")
        length = exp(rng.gauss(self.lengths.mu, self.lengths.sigma))
        return PlannedOutput(max(2, round(length)), CLOSING.format(_drawn(rng, self.answers)))


def _drawn(rng: Random, answers: Mapping[str, float]) -> str:
    return rng.choices(list(answers), list(answers.values()))[0]
