"""What a race needs from a reward model. Implement it to score with something else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol, runtime_checkable

from ..engines.protocol import EngineLoad, Message
from ..thinking import ThinkingFormat, without_thinking


@dataclass(slots=True)
class ScoringBudget:
    """What the scores of one race may take and have taken; all its scorings share it."""

    until: float = inf
    """When the race is called at the latest (anyio clock, seconds), which may come closer: a score
    that comes then or later is of no use."""
    requests: int = 0
    """Made for scores so far, by a reward model that says so."""
    tokens: int = 0
    """Read and generated for scores so far, by the engine of the race or by an endpoint that says
    so; a reward model adds to it as soon as it knows."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """One text to be scored."""

    question: Sequence[Message]  # the conversation that the text answers
    text: str  # a branch's, up to where it is to be scored
    complete: bool  # whether the branch ended by itself
    budget: ScoringBudget = field(default_factory=ScoringBudget, compare=False)  # its race's
    thinking: ThinkingFormat | None = None  # how the branch marks its thinking, if that is known
    race: str = ""  # whose branch it is
    branch: int | None = None  # its index; None: it is none's

    @property
    def said(self) -> str:
        """What the text says outside its thinking."""
        if self.thinking is not None:
            return self.thinking.read(self.text).content
        return without_thinking(self.text)


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


@runtime_checkable
class SupportsComparison(Protocol):
    """A reward model whose scores compare the items of one call of ``score``, which are replies to
    one question: a judge. A score is the share of its picks that name the item, in [0, 1]; one item
    alone gets none."""

    @property
    def agreement(self) -> float:
        """The share of its picks, above 0.5, at which the judge agrees with itself."""
        ...

    @property
    def min_replies(self) -> int:
        """Replies, at least 2, that it should see before its agreement may end a race."""
        ...

    def predict(self, prompt_tokens: int, reply_tokens: Sequence[int], load: EngineLoad) -> float:
        """The seconds that one call of ``score`` takes, roughly: the race corrects them by what
        calls have taken, and keeps so much before its deadline.

        Args:
            prompt_tokens: of the question.
            reply_tokens: (num_items,) of each reply, their thinking included.
            load: of the engine of the race, now.
        """
        ...
