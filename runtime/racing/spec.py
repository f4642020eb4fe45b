"""One question as its race needs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..answers import BOXED, DEFAULT_RULES, ComparisonRules, Extractor
from ..engines.protocol import Message, Sampling
from ..result import Note
from ..thinking import ThinkingFormat
from .accuracy_map import AccuracyMap


@dataclass(frozen=True, slots=True)
class Forcing:
    """How an unfinished branch is made to answer."""

    suffix: str
    suffix_ids: tuple[int, ...]
    """(num_tokens,) of ``suffix``; with ``thinking`` of the longest form that it takes (``after``),
    with which time and room are reckoned."""
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 1.0  # where several branches answer; one alone answers greedily
    thinking: ThinkingFormat | None = None  # that must be closed first
    encode: Callable[[str], tuple[int, ...]] | None = None  # with ``thinking``; it remembers

    def after(self, text: str) -> "Suffix":
        """What a branch that has written ``text`` is continued with: the end of its thinking, if it
        has not ended, and ``suffix``. An open box stays open: it is asked anew."""
        if self.thinking is None or self.encode is None or not self.suffix:
            return Suffix(self.suffix, self.suffix_ids)
        closing = self.thinking.completion(text)
        # A reply does not begin with empty lines.
        begins = closing or text.endswith("\n")
        whole = closing + (self.suffix.lstrip("\n") if begins else self.suffix)
        return Suffix(whole, self.encode(whole))


@dataclass(frozen=True, slots=True)
class Suffix:
    """What one branch is continued with for its forced answer."""

    text: str
    token_ids: tuple[int, ...]  # (num_tokens,)


@dataclass(frozen=True, slots=True)
class RaceSpec:
    """One question as the race needs it. Times are on the anyio clock, in seconds."""

    race_id: str
    prompt: tuple[int, ...]
    began: float
    deadline: float
    sampling: Sampling
    max_tokens: int  # a branch, without its forced answer
    max_branches: int
    forcing: Forcing
    question: Sequence[Message] = ()  # what the prompt says, for reward models
    instruction: str | None = None  # what was added to it; None: nothing
    notes: tuple[Note, ...] = ()  # what is known beforehand to make the answer worth less
    seed: int | None = None
    answers: Extractor = BOXED  # how an answer is found and compared
    forced_answers: Extractor | None = None  # how in what follows a forcing suffix; None: likewise
    optional: bool = False  # whether a branch may reply without an answer
    rules: ComparisonRules = DEFAULT_RULES  # where it is compared as mathematics
    silence_factor: float = 0.0  # how much longer than before the last branch may be silent; 0: any
    abort_limit: float = 1.0  # seconds that telling the engine to abort may take
    strategy: str = ""  # its name
    accuracy: AccuracyMap | None = None  # what a confidence is worth; None: not known
    shared_down_to: int | None = None
    """Branches that it keeps at least while others need the engine; None: all, as somebody has said
    how many."""
    thinking: ThinkingFormat | None = None
    """How what the branches write is marked as thought; None: it is not known."""

    @property
    def time_limit(self) -> float:
        """Seconds it was given, as they were asked for: to the microsecond, as a clock rounds."""
        return round(self.deadline - self.began, 6)
