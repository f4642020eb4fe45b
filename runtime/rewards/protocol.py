"""What a race needs from a reward model. Implement it to score with something else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..engines.protocol import Message


@dataclass(frozen=True, slots=True)
class Scoring:
    """One text to be scored."""

    question: Sequence[Message]  # the conversation that the text answers
    text: str  # a branch's, up to where it is to be scored
    complete: bool  # whether the branch ended by itself


class RewardModel(Protocol):
    """Scores branches. All methods are called from one event loop."""

    async def start(self) -> None:
        """Get ready to score, warmed up.

        Raises:
            EngineStartError: with the reason and what to do.

        Cancelling it leaves no process behind.
        """
        ...

    async def aclose(self) -> None:
        """Stop and free everything. Idempotent; cancelling it does not stop the freeing."""
        ...

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        """One score for each item, in their order; higher is better, None where it failed.

        A probability of being right, in [0, 1], unless the model says otherwise: thresholds and
        weights are on that scale. Several races may call it at once. Whatever it raises costs the
        scores, never the race; a race that is over cancels it.
        """
        ...
