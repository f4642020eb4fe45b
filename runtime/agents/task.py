"""What an agent is given, and what it gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import anyio
from pydantic_core import PydanticSerializationError, to_json

from ..answers.extraction.json_values import canonical_json, only_value
from ..engines.protocol import Message


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an agent's work. Whatever else an agent returns is taken for ``answer``."""

    answer: Any = None
    """What is voted on: text, or data that JSON can say (dataclasses and pydantic's models
    included), of which equal values are the same vote. None: the agent has no answer."""
    reward: float | None = None
    """How good it is; higher is better, and 1 is taken for accepted."""
    cost: float | None = None
    """What it cost, in whatever unit."""
    data: Any = None
    """Anything else that whoever asked wants to have: a patch, the path of a sandbox. It is handed
    back as it is (``AgentEngine.outcome``)."""

    @property
    def text(self) -> str | None:
        """The answer as it is voted on.

        Raises:
            TypeError: JSON cannot say it.
        """
        if self.answer is None or isinstance(self.answer, str):
            return self.answer
        try:
            return canonical_json(only_value(to_json(self.answer).decode()))
        except (PydanticSerializationError, ValueError) as error:
            raise TypeError(
                "an agent's answer must be text or data that JSON can say, not "
                f"{type(self.answer).__name__}: put the rest into Outcome(data=…) ({error})"
            ) from error


def as_outcome(returned: Any) -> Outcome:
    """What an agent returned, as an outcome."""
    return returned if isinstance(returned, Outcome) else Outcome(returned)


@dataclass(frozen=True, slots=True)
class AgentTask:
    """What one run of an agent is to do. One run is one branch of a race."""

    question: str
    """What was asked: the last message of the user."""
    messages: Sequence[Message]
    """The whole conversation, in OpenAI's form."""
    race_id: str
    branch: int
    """The number of the run within its race, from 0."""
    seed: int | None
    """Of this run, another for each branch; None: the race has no seed."""
    deadline: float = inf
    """When the race ends at the latest (anyio clock, seconds)."""
    tell: Callable[["str | Outcome"], None] = field(default=lambda _: None, repr=False)

    @property
    def seconds_left(self) -> float:
        """Until the race ends at the latest. It may end sooner, and the run is then cancelled."""
        return max(0.0, self.deadline - anyio.current_time())

    def progress(self, text: str) -> None:
        """Tell whoever watches what is being done: one step of the run."""
        self.tell(text)

    def best_so_far(self, outcome: Any) -> None:
        """Say what the outcome is unless a better one comes: it stands if time runs out."""
        self.tell(as_outcome(outcome))
