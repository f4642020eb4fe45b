"""The races of a replay one by one, where their means are not enough."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from .replay import Replayed


@dataclass(frozen=True, slots=True)
class Draw:
    """One race: a cell on one random draw of a question's branches."""

    strategy: str
    branches: int
    deadline: float | None
    """As ``latency``; None: none."""
    forced: bool
    question: str
    """Where it was recorded: file and place."""
    draw: int
    right: bool
    latency: float
    """In tokens of a branch, or in seconds where a token's were given."""
    tokens: float
    branches_ended: float
    """Branches that ran to their own end."""

    def as_dict(self) -> dict[str, Any]:
        """For CSV."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def draws_of(replayed: Replayed, *, step_seconds: float | None = None) -> Iterator[Draw]:
    """All races, cell by cell, question by question."""
    job, unit = replayed.job, step_seconds or 1.0
    for cell, figures in zip(job.cells, replayed.cells, strict=True):
        deadline = None if cell.deadline == inf else cell.deadline * unit
        for place, right in enumerate(figures.right):
            question, draw = divmod(place, job.draws)
            yield Draw(
                strategy=cell.strategy.label,
                branches=cell.branches,
                deadline=deadline,
                forced=cell.forced,
                question=job.questions[question].name,
                draw=draw,
                right=bool(right),
                latency=figures.latency[place] * unit,
                tokens=figures.tokens[place],
                branches_ended=figures.ended[place],
            )
