"""A reward model on an engine of its own that is started again when it dies or hangs. Races
meanwhile go on without scores."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from ..engines.supervision import Restartable, Supervised, Supervision
from .protocol import RewardModel, Scoring

#: Seconds without a score, while texts are being scored, after which it hangs, and starts in a row
#: that may fail. A long text may take long: where slow ones do, it is twenty times as long as they.
SUPERVISION: Final = Supervision(stall_limit=30.0, restarts=5, key="the most")


class RestartableReward(Restartable, RewardModel, Protocol):
    """A ``RewardModel`` in processes of this program's own."""


R = TypeVar("R", bound=RestartableReward)


class SupervisedReward(Supervised[R]):
    """A ``RewardModel`` that is made anew when it dies or hangs."""

    what = "the reward model's engine"

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        """See ``RewardModel``.

        Raises:
            EngineRestarting: it is just started again.
            EngineDead: no more starts are tried.
        """
        if (failure := self.failure) is not None:
            raise failure
        return await self.inner.score(items)
