"""What the branches of a simulated engine write: from a model of lengths and answers, or from
recorded branches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from random import Random
from typing import TYPE_CHECKING, Protocol

from frontrunner.strategies.lengths import LengthModel

from .protocol import Generation

if TYPE_CHECKING:
    from ..traces.reading import RecordedQuestion

_CLOSING = "\\boxed{{{}}}"


@dataclass(frozen=True, slots=True)
class Course:
    """All that a request will write: ``tokens`` tokens, the last of which is ``ending``."""

    tokens: int
    ending: str

    def token(self, index: int, position: int) -> str:
        """The text of token ``index``, at ``position`` of the whole context."""
        return self.ending if index == self.tokens - 1 else f"w{position} "


class Courses(Protocol):
    """Says what a request writes."""

    def course(self, request: Generation, written: int) -> Course:
        """The course of ``request``; a forced one continues a branch of ``written`` tokens."""
        ...


@dataclass(frozen=True, slots=True)
class DrawnCourses:
    """Lengths from a log-normal, answers from a distribution; the request's seed draws both.

    ``answers`` maps an answer to its probability among finished branches. A branch forced early
    answers from ``guesses``.
    """

    lengths: LengthModel
    answers: Mapping[str, float]
    guesses: Mapping[str, float] | None = None

    def course(self, request: Generation, written: int) -> Course:
        key = (request.seed, request.branch) if request.seed is not None else request.request_id
        rng = Random(f"{key}/{request.forced}")
        if request.forced:
            answer = _drawn(rng, self.guesses or self.answers)
            return Course(2, f"{answer}}}")
        length = exp(rng.gauss(self.lengths.mu, self.lengths.sigma))
        return Course(max(2, round(length)), _CLOSING.format(_drawn(rng, self.answers)))


class RecordedCourses:
    """Recorded branches: branch ``i`` of a race is the ``i``-th of its question's, in an order that
    the race's seed draws. Questions are told apart by their prompts.

    Args:
        questions: with ``question`` set.
        encode: gives the prompt of a question's text, as the engine encodes it.
    """

    def __init__(
        self,
        questions: Sequence["RecordedQuestion"],
        encode: Callable[[str], tuple[int, ...]],
    ) -> None:
        self._questions = {encode(q.question or ""): q for q in questions}

    def course(self, request: Generation, written: int) -> Course:
        known = [p for p in self._questions if request.prompt[: len(p)] == p]
        if not known:
            return Course(2, _CLOSING.format(0))
        question = self._questions[max(known, key=len)]
        record = question.branches[request.branch % len(question.branches)]
        if request.forced:
            return Course(2, f"{record.forced_answer(written) or '?'}}}")
        ending = "I do not know." if record.answer is None else _CLOSING.format(record.answer)
        return Course(record.tokens, ending)


def _drawn(rng: Random, answers: Mapping[str, float]) -> str:
    return rng.choices(list(answers), list(answers.values()))[0]
