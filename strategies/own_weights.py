"""Weights of a user's own: what a vote weighs is said by a class that looks at its branch.

One is registered with ``register_weight``, offered by an installed package in the entry points
``frontrunner.weights``, or named as ``package.module:Class`` in the config or on the command line.
Its parameters stand beside those of the strategy. Weights that are built in: ``weights``.
"""

from collections.abc import Callable
from math import isfinite
from typing import Final, Protocol

from .certificates import Released
from .own_parts import OwnParts
from .protocol import BranchView, Command, Needs, RaceView
from .weights import WEIGHT_NAMES, RewardWeights, Weighed, voters, weigh


class VoteWeight(Protocol):
    """What the votes of ``majority`` and ``weighted`` weigh.

    One that needs scores or log probabilities says so in an attribute ``needs`` (``Needs``): with
    ``rewards`` each branch that finishes with an answer is scored first, and its vote counts once
    its score is in.
    """

    def weight(self, branch: BranchView) -> float | None:
        """What the vote of a branch weighs that finished with an answer: at least 0, relative to
        the others, as weights are divided by their mean. None: that cannot be said of this one,
        which then weighs the mean."""
        ...


WEIGHT_PLUGINS: Final = OwnParts[VoteWeight](
    "weight", "frontrunner.weights", WEIGHT_NAMES, "weight"
)


def weight_names() -> tuple[str, ...]:
    """The names of all weights, those of installed packages among them; nothing is imported."""
    return WEIGHT_PLUGINS.names()


def register_weight(name: str, factory: Callable[..., VoteWeight]) -> None:
    """Make the weight ``factory(**parameters)`` available under ``name`` in this process.

    A replay carries it to its worker processes, if it is a class or a function of a module.

    Raises:
        ValueError: if the name is taken.
        TypeError: if it cannot be called.
    """
    WEIGHT_PLUGINS.register(name, factory)


class OwnWeights(RewardWeights):
    """The weights of one race, as a user's class says them. They have no bound that is known."""

    def __init__(self, own: VoteWeight) -> None:
        super().__init__()
        self.needs: Needs = getattr(own, "needs", Needs())
        self._own = own
        self._known: dict[int, float | None] = {}

    def ask(self, branch: BranchView) -> list[Command]:
        return super().ask(branch) if self.needs.rewards else []

    def weigh(self, view: RaceView, *, pending_too: bool = False) -> Weighed:
        voting = [i for i in voters(view) if pending_too or i not in self.pending]
        return weigh(view, voting, self._weight)

    def released(self, view: RaceView) -> list[Released]:
        raise NotImplementedError("weights of a user's own have no bound, so they prove nothing")

    def _weight(self, branch: BranchView) -> float | None:
        """Asked once of each branch: it has finished, and its score is in."""
        if branch.index in self.pending:
            return None
        if branch.index not in self._known:
            weight = self._own.weight(branch)
            if weight is not None and not (isfinite(weight) and weight >= 0):
                raise ValueError(
                    f"{type(self._own).__name__} gave branch {branch.index} the weight {weight!r}: "
                    "a number of at least 0, or None, is expected"
                )
            self._known[branch.index] = weight
        return self._known[branch.index]
