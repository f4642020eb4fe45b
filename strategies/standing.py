"""How a race stands for the strategy that decides it.

The leader that is shown while a race runs is the one that its strategy would decide for now, with
its weights and rewards, and not the one of a plain count of votes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast, runtime_checkable

from .protocol import Decide, RaceView, Strategy
from .votes import Tally, tally


@dataclass(frozen=True, slots=True)
class Standing:
    """How a race stands."""

    leader: str | None
    """The answer that the strategy would decide for now; None: there is none."""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """What each answer weighs for it, best first: a number of votes, their weights, or a score. An
    answer that weighs nothing may be left out."""


@runtime_checkable
class SupportsStanding(Protocol):
    """A strategy that says itself how its race stands."""

    def standing(self, view: RaceView) -> Standing:
        """How the race stands now. Changes nothing, and may be asked at any moment, after the
        decision, too."""
        ...


def standing_of(
    strategy: Strategy,
    view: RaceView,
    votes: Tally[Any] | None = None,
    decided: Decide | None = None,
) -> Standing:
    """How a race stands for ``strategy``.

    A strategy without ``standing`` leads with what it would conclude, and each finished branch
    that gave an answer weighs one.

    Args:
        votes: the tally of ``view``, if it is known.
        decided: what the race was decided for, which then leads.

    Raises:
        TypeError: what the strategy returned is no standing.
    """
    said = getattr(strategy, "standing", None)  # isinstance would take longer than the rest
    if said is not None:
        standing = cast(object, said(view))
        if not isinstance(standing, Standing):
            raise TypeError(f"a strategy's standing is a Standing, not {type(standing).__name__}")
    else:
        leader = decided.answer if decided is not None else strategy.conclude(view).answer
        standing = replace(weighed_standing(votes or tally(view)), leader=leader)
    if decided is not None and standing.leader != decided.answer:
        standing = replace(standing, leader=decided.answer)
    return standing


def weighed_standing(votes: Tally[Any]) -> Standing:
    """The standing of a strategy that decides by votes, counted or weighed."""
    return Standing(votes.leader, ranked({a: float(n) for a, n in votes.finished.items()}))


def ranked(weights: Mapping[str, float]) -> dict[str, float]:
    """The same weights, largest first; equal ones keep their order."""
    return dict(sorted(weights.items(), key=lambda item: -item[1]))
