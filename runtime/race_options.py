"""What a caller asks, and what may be said about the race."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from .answers.equivalence.rules import Order, Units
from .engines.protocol import Message


@dataclass(frozen=True, slots=True)
class RawPrompt:
    """Text or token ids that the model continues as they are, without its chat template."""

    content: str | tuple[int, ...]


#: A question, a conversation in OpenAI's form whose last turn is answered, or a bare prompt.
Question = str | Sequence[Message] | RawPrompt


class AnswerOptions(TypedDict, total=False):
    """What may be said about the answers of one race; what is not said comes from ``[answers]``."""

    kind: str
    """What an answer is: a ``kind`` of ``[answers]``."""
    units: Units
    """Whether the unit of a number is dropped or kept."""
    tolerance: float
    """Relative, for numbers; 0: exactly."""
    order: Order
    """Where the order of a list's items counts."""


def answer_kind(asked: str | AnswerOptions | None) -> str | None:
    """The kind of answer that was asked for; None: that of the settings."""
    return asked if isinstance(asked, str | None) else asked.get("kind")


class RaceOptions(TypedDict, total=False):
    """What may be said about one race; what is not said, or None, comes from the settings."""

    deadline: float | None
    """Seconds from now."""
    branches: int | None
    """Reasoning branches to launch."""
    min_branches: int | None
    """The fewest that the race can do with while others hold the engine's: with fewer it waits, and
    the wait counts against its deadline."""
    seed: int | None
    """Makes the branches repeatable where the engine allows it."""
    strategy: str | None
    """A registered strategy. The settings' parameters are left out where they do not go with those
    given here."""
    parameters: Mapping[str, Any] | None
    """Of the strategy."""
    answers: str | AnswerOptions | None
    """What an answer is, a ``kind`` of ``[answers]``; or that and how answers are compared."""
    tools: Sequence[Mapping[str, Any]] | None
    """Tools in OpenAI's form, for the model's chat template."""
    max_tokens: int | None
    """Of one branch."""
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop: Sequence[str] | None
    """Strings that end a branch."""
    race_id: str | None
    """What the race is called, in logs and in its result; no other that runs may be called so.
    None: a random one."""
