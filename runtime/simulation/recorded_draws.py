"""What replays of one recording share: random orders of its branches, what is known of their
lengths beforehand, and fresh strategies."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from random import Random

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import Strategy

from ..traces.recordings import RecordedBranch, RecordedQuestion
from .cells import StrategySpec

#: A length model that has seen all other questions counts as this many branches, as in a runtime
#: that has been running for a while (``LengthModel.updated`` goes no higher).
_POOLED_WEIGHT = 256.0


class RecordedDraws:
    """Draws of recorded branches. Whoever draws with the same seed sees the same orders."""

    def __init__(self, questions: Sequence[RecordedQuestion], seed: int) -> None:
        self._questions = questions
        self._seed = seed
        self._lengths: dict[int, LengthModel | None] = {}

    def order(self, question: int, draw: int) -> list[RecordedBranch]:
        """All branches of a question in the order of this draw."""
        order = list(self._questions[question].branches)
        Random(f"{self._seed}/{question}/{draw}").shuffle(order)
        return order

    def pooled_lengths(self, question: int) -> LengthModel | None:
        """The lengths of all other questions' branches; None if there are none."""
        if question not in self._lengths:
            others = [
                branch
                for number, other in enumerate(self._questions)
                if number != question
                for branch in other.branches
            ]
            model = lengths_of(others)
            if model is not None:
                model = LengthModel(model.mu, model.sigma, min(model.weight, _POOLED_WEIGHT))
            self._lengths[question] = model
        return self._lengths[question]


def lengths_of(branches: Iterable[RecordedBranch]) -> LengthModel | None:
    """How long branches get, by recorded ones; those that ran into their token limit are longer
    than they were seen to be. None: not known, since none came to its own end."""
    kept = [branch for branch in branches if not branch.lost]
    ended = [branch.tokens for branch in kept if not branch.truncated]
    cut = [branch.tokens for branch in kept if branch.truncated]
    return LengthModel.fit(ended, cut) if ended else None


class FreshStrategies:
    """Strategies for many races; each is a copy, because checking parameters takes longer than
    many races."""

    def __init__(self) -> None:
        self._copies: dict[tuple[StrategySpec, int, bool], Callable[[], Strategy]] = {}

    def create(self, spec: StrategySpec, branches: int, *, forced: bool) -> Strategy:
        """As ``StrategySpec.create``, which says what it raises."""
        key = (spec, branches, forced)
        copy = self._copies.get(key)
        if copy is None:
            copy = self._copies[key] = _copies_of(spec.create(branches, forced=forced))
        return copy()


def _copies_of(made: Strategy) -> Callable[[], Strategy]:
    """Makes copies of ``made``: by pickle, which is several times faster than ``deepcopy``, where
    it can be pickled."""
    try:
        return partial(pickle.loads, pickle.dumps(made, pickle.HIGHEST_PROTOCOL))
    except Exception:  # noqa: BLE001 - whatever a user's object raises that cannot be pickled
        return partial(deepcopy, made)
