"""One question as its race needs it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..answers import BOXED, DEFAULT_RULES, ComparisonRules, Extractor
from ..engines.protocol import Message, Sampling


@dataclass(frozen=True, slots=True)
class Forcing:
    """How an unfinished branch is made to answer."""

    suffix: str
    suffix_ids: tuple[int, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 1.0  # where several branches answer; one alone answers greedily


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
    seed: int | None = None
    answers: Extractor = BOXED  # how an answer is found and compared
    rules: ComparisonRules = DEFAULT_RULES  # where it is compared as mathematics
    abort_limit: float = 1.0  # seconds that telling the engine to abort may take
    strategy: str = ""  # its name
    shared_down_to: int | None = None
    """Branches that it keeps at least while others need the engine; None: all, as somebody has said
    how many."""
