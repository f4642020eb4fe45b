"""Recorded branches: what a race would have seen of them, had it been called differently."""

from dataclasses import dataclass
from pathlib import Path

from frontrunner.strategies.protocol import ProbeAnswer

from ..errors import BadRequest


class TraceError(BadRequest):
    """A trace cannot be read; the message names the file and the place in it."""

    def __init__(self, path: Path, problem: str, place: str = "") -> None:
        super().__init__(f"{path}, {place}: {problem}" if place else f"{path}: {problem}")


@dataclass(frozen=True, slots=True)
class RecordedBranch:
    """One branch from its start to its end."""

    tokens: int
    """Its length, at least 1."""
    answer: str | None
    """What it answered in the end; None: nothing that could be read."""
    correct: bool | None = None
    """As judged in the recording; None: to be judged by the gold answer."""
    probes: tuple[ProbeAnswer, ...] | None = None
    """Answers that it was forced to give on the way, in order; None: it was not to be asked. Of a
    branch that ended before the first time there are none."""
    score: float | None = None
    """The reward model's for the whole branch; None: not recorded."""
    truncated: bool = False
    """Whether its end was its token limit. What it had answered by then counts like a forced
    answer, and all that is known of its length is that it is longer."""
    lost: bool = False
    """Whether it ended by an error instead: a missing vote."""
    seconds: float | None = None
    """From its launch to its end, as recorded."""
    logprob: float | None = None
    """The mean log probability of its tokens, in nats; None: not recorded."""
    text: str | None = None

    def forced_answer(self, tokens: int) -> str | None:
        """What it would have answered after ``tokens`` tokens: the last recorded probe by then."""
        said = None
        for probe in self.probes or ():
            if probe.tokens > tokens:
                break
            said = probe.answer
        return said


@dataclass(frozen=True, slots=True)
class RecordedQuestion:
    """A question with its recorded branches."""

    name: str
    """Where it comes from: file and place."""
    gold: str | None
    branches: tuple[RecordedBranch, ...]
    right: frozenset[str] = frozenset()
    """Those of its answers that are right; filled in by ``unified``."""
    left_out: int = 0
    """Recorded branches that were cut or forced: nobody knows how they would have ended."""
    question: str | None = None

    @property
    def judged(self) -> bool:
        """Whether anything says which answers are right."""
        return self.gold is not None or any(b.correct is not None for b in self.branches)
