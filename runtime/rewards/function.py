"""A user's own function as a reward model: a unit test, a solver, a rule."""

from collections.abc import Awaitable, Callable, Sequence
from math import isfinite

import anyio
import structlog

from .inputs import question_text
from .protocol import Scoring

_log = structlog.get_logger("frontrunner.rewards")

#: ``(question, text)`` to a score, higher is better.
ScoreFunction = Callable[[str, str], Awaitable[float]]


class FunctionReward:
    """Scores with ``function(question, text)``; an error or a timeout costs that score only."""

    def __init__(
        self, function: ScoreFunction, *, concurrency: int = 8, timeout: float | None = 10.0
    ) -> None:
        """
        Args:
            function: gets the question as text (see ``inputs.question_text``) and the branch's
                text. It is cancelled when its race is over.
            concurrency: calls at once, of all races together.
            timeout: seconds for one call, from its beginning; None: no limit but the race's.

        Raises:
            ValueError: for arguments out of range.
        """
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        if timeout is not None and not timeout > 0:
            raise ValueError("timeout must be a positive number of seconds")
        self._function = function
        self._timeout = timeout
        self._slots = anyio.Semaphore(concurrency)

    async def start(self) -> None:
        """There is nothing to start."""

    async def aclose(self) -> None:
        """There is nothing to close."""

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        scores: list[float | None] = [None] * len(items)

        async def run(index: int, item: Scoring) -> None:
            async with self._slots:
                scores[index] = await self._score_one(item)

        async with anyio.create_task_group() as tasks:
            for index, item in enumerate(items):
                tasks.start_soon(run, index, item)
        return scores

    async def call(self, item: Scoring) -> float:
        """What the function says of one text."""
        return await self._function(question_text(item.question), item.text)

    async def _score_one(self, item: Scoring) -> float | None:
        score: float | None = None
        try:
            with anyio.move_on_after(self._timeout) as limit:
                score = float(await self.call(item))
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises, costs a score
            _log.warning("frontrunner.score_failed", error=str(error) or type(error).__name__)
            return None
        if limit.cancelled_caught:
            _log.warning("frontrunner.score_timed_out", limit=self._timeout)
            return None
        return score if score is not None and isfinite(score) else None
