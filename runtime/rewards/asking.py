"""Short questions to the engine of the races, of whose answer the first word counts."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import count

import anyio
import structlog

from ..engines.next_tokens import SupportsNextTokens
from ..engines.protocol import Engine, Generation, Sampling
from ..errors import EngineError
from .protocol import ScoringBudget

_log = structlog.get_logger("frontrunner.rewards")

#: The most likely tokens that are looked at: all spellings of the words that count must be among
#: them.
TOP_TOKENS = 20
#: They go before the branches of later deadlines: a race waits for them.
_PRIORITY = -(2**39)
#: Seconds that telling the engine to abort may take, and after a race's last moment.
_ABORT_LIMIT, _LATE_ABORT_LIMIT = 1.0, 0.005

_numbers = count()


class Questions:
    """Questions of one race's scores, which are asked and given up together."""

    def __init__(self, engine: Engine, budget: ScoringBudget, name: str) -> None:
        self._engine = engine
        self._budget = budget
        self._name = name
        self._running: set[str] = set()

    async def likeliest(self, prompt: Sequence[int]) -> Sequence[tuple[str, float]] | None:
        """The likeliest first tokens of the answer, with their log probabilities; None: this engine
        does not tell them.

        Raises:
            EngineError: this question is lost.
        """
        if not self._engine.info.logprobs or not isinstance(self._engine, SupportsNextTokens):
            return None
        request = self._new_id()
        self._budget.requests += 1
        self._budget.tokens += len(prompt) + 1
        top = await self._engine.next_tokens(
            prompt, TOP_TOKENS, request_id=request, priority=_PRIORITY
        )
        self._running.discard(request)
        return top

    async def answer(
        self, prompt: Sequence[int], max_tokens: int, *, temperature: float, seed: int
    ) -> str:
        """An answer.

        Raises:
            EngineError: this question is lost.
        """
        request = Generation(
            request_id=self._new_id(),
            prompt=tuple(prompt),
            max_tokens=max_tokens,
            sampling=Sampling(temperature=temperature),
            seed=seed,
            priority=_PRIORITY,
        )
        self._budget.requests += 1
        self._budget.tokens += len(prompt)
        text = ""
        async with aclosing(self._engine.generate(request)) as chunks:
            async for chunk in chunks:
                self._budget.tokens += len(chunk.token_ids)
                text += chunk.text
        self._running.discard(request.request_id)
        return text

    def _new_id(self) -> str:
        request = f"{self._name}-{next(_numbers)}"
        self._running.add(request)
        return request

    async def abort(self) -> None:
        """Abort what still runs, in one message. It does not make the race late."""
        requests, self._running = sorted(self._running), set[str]()
        if not requests:
            return
        left = self._budget.until - anyio.current_time()
        limit = min(_ABORT_LIMIT, left / 2) if left > 0 else _LATE_ABORT_LIMIT
        with anyio.move_on_after(limit, shield=True):
            try:
                await self._engine.abort(requests)
            except EngineError as error:
                _log.warning("frontrunner.abort_failed", error=str(error))


@asynccontextmanager
async def asking(
    engine: Engine, budget: ScoringBudget, name: str
) -> AsyncGenerator[Questions, None]:
    """Questions to ``engine``; those still open are aborted when the block is left, cancelled or
    not.

    Args:
        budget: of the race that the questions are asked for.
        name: their request ids begin with.
    """
    questions = Questions(engine, budget, name)
    try:
        yield questions
    finally:
        await questions.abort()
