"""How good outcomes of agents are: as they say themselves, or as a function finds them."""

from collections.abc import Awaitable, Callable, Mapping

from ..rewards.function import FunctionReward
from ..rewards.inputs import question_text
from ..rewards.protocol import Scoring
from .task import Outcome

#: The question and a run's outcome to how good that is; higher is better, and True is 1.
Verify = Callable[[str, Outcome], Awaitable[float]]


class OutcomeReward(FunctionReward):
    """A reward model for the runs of agents."""

    def __init__(
        self,
        outcomes: Callable[[str], Mapping[int, Outcome]],
        verify: Verify | None,
        *,
        concurrency: int,
        timeout: float | None = None,
    ) -> None:
        """
        Args:
            outcomes: those of a race by branch.
            verify: None: the outcomes' own rewards.
            concurrency: calls of ``verify`` at once, of all races together.
            timeout: seconds for one; None: as long as the race.
        """
        super().__init__(_nothing, concurrency=concurrency, timeout=timeout)
        self._outcomes = outcomes
        self._verify = verify

    async def call(self, item: Scoring) -> float:
        outcome = Outcome()
        if item.branch is not None:
            outcome = self._outcomes(item.race).get(item.branch, outcome)
        if self._verify is not None:
            return float(await self._verify(question_text(item.question), outcome))
        if outcome.reward is None:
            raise LookupError(
                "the agent's outcome has no reward: return Outcome(answer, reward=…), or give "
                "AgentEngine a function verify"
            )
        return float(outcome.reward)


async def _nothing(question: str, text: str) -> float:
    return 0.0
