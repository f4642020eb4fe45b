"""How long a judge takes for the replies of a race, for which time is kept before its deadline."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import anyio

from ..engines.protocol import Engine
from ..rewards.protocol import RewardModel, ScoringBudget, SupportsComparison
from .deadline_reserve import DeadlineReserve
from .spec import RaceSpec

#: A judgement that was cut short would have taken longer: at least so many times.
_CUT_SHORT = 1.5


class Judgements:
    """The judgements of one race; predicts how long one takes, and learns from each."""

    def __init__(
        self,
        spec: RaceSpec,
        engine: Engine,
        rewards: RewardModel | None,
        reserve: DeadlineReserve | None,
    ) -> None:
        """
        Args:
            rewards: what scores branches; one that is no judge takes no time that would be kept.
            reserve: of judgements, shared by all races; None: nothing is learned.
        """
        self._spec = spec
        self._engine = engine
        self._judge: SupportsComparison | None = None
        if rewards is not None and isinstance(rewards, SupportsComparison):
            self._judge = rewards
        self._reserve = reserve or DeadlineReserve(0.0, fallback_step=0.0)
        self.budget = ScoringBudget()
        """Of all scores of the race, those of a judge or another reward model."""

    def seconds(self, replies: Sequence[int]) -> float:
        """What is to be kept for a judgement of replies of so many tokens each; 0 if there is
        nothing to compare."""
        if self._judge is None or len(replies) < 2:
            return 0.0
        return self._reserve.seconds(self._predict(self._judge, replies))

    @contextmanager
    def measured(self, replies: Sequence[int]) -> Generator[list[float | None], None, None]:
        """Around a judgement of replies of so many tokens each: learns how long it took, if
        anything was asked. The block puts the scores into the list; without any the judgement
        counts as cut short."""
        scores = list[float | None]()
        if self._judge is None:
            yield scores
            return
        began, asked = anyio.current_time(), self.budget.requests
        predicted = self._predict(self._judge, replies)
        try:
            yield scores
        finally:
            if self.budget.requests > asked:
                slow = 1.0 if any(score is not None for score in scores) else _CUT_SHORT
                self._reserve.learn(predicted, slow * (anyio.current_time() - began))

    def _predict(self, judge: SupportsComparison, replies: Sequence[int]) -> float:
        return judge.predict(len(self._spec.prompt), replies, self._engine.load())
