"""Requests for log probabilities: to the engine as they are, without a race.

A race cannot answer them: the likelihood of a text is nothing to vote on, and no branch that was
chosen from several tells the model's own distribution. Places, deadlines and cancellation are those
of races.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypedDict
from uuid import uuid4

import anyio

from ..config import RaceSettings
from ..engines.logprobs import MAX_LOGPROBS, ScoredChunk, SupportsLogprobs
from ..engines.protocol import Engine, FinishReason, Generation, Sampling
from ..errors import BadRequest, EngineError, FrontrunnerError, NotInTime, PromptTooLong
from ..racing.aborts import Aborts
from ..racing.race_options import RaceOptions, RawPrompt
from .admission import Admission, Lease
from .race_factory import RaceFactory

#: Log probabilities of one prompt, which come at once and hold the event loop up meanwhile.
MAX_PROMPT_LOGPROBS = 1 << 16
#: Hears of each chunk, and whose it is: the place of its request.
ScoredSink = Callable[[int, ScoredChunk], object]


class ScoreOptions(TypedDict, total=False):
    """What may be said about log probabilities; what is not said, or None, is as in the settings.
    See ``RaceOptions`` for those that races have too."""

    deadline: float | None
    seed: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop: Sequence[str] | None
    max_tokens: int | None
    """0: nothing is generated."""
    logprobs: int
    """Of the likeliest tokens at each place, beside the token's own. By default 0."""
    prompt_logprobs: bool
    """Whether those of the prompts are told too."""
    choices: int
    """Continuations of each prompt. By default 1."""


def require_logprobs(engine: Engine) -> SupportsLogprobs:
    """``engine``, if it tells log probabilities.

    Raises:
        BadRequest: it does not, with what to do.
    """
    if not isinstance(engine, SupportsLogprobs) or not engine.info.logprobs:
        raise BadRequest(
            "logprobs: this engine tells no log probabilities (vLLM does not do so reliably with "
            "speculation): set engine.speculation.method to none, use an engine that tells them, "
            "or tasks that judge the generated text (lm-eval's generate_until)",
            "logprobs",
        )
    return engine


@dataclass(frozen=True, slots=True)
class Scoring:
    """Requests that were found fit to run."""

    requests: tuple[Generation, ...]
    deadline: float  # anyio clock, seconds
    prompts: bool  # whether the log probabilities of the prompts are told

    @property
    def empty(self) -> bool:
        """Whether nothing is asked of the engine."""
        return not self.prompts and all(not r.max_tokens for r in self.requests)


class Scorer:
    """Runs such requests; one for a runtime."""

    def __init__(self, engine: Engine, maker: RaceFactory, settings: RaceSettings) -> None:
        self._engine = engine
        self._maker = maker
        self._settings = settings
        self._scopes: dict[str, anyio.CancelScope] = {}  # by name, of those that run

    async def run(
        self,
        admission: Admission,
        prompts: Sequence[RawPrompt],
        on_chunk: ScoredSink,
        name: str,
        options: ScoreOptions,
        on_unacknowledged: Callable[[Sequence[str]], None],
    ) -> Sequence[int]:
        """See ``Runtime.score``.

        Args:
            on_unacknowledged: hears of requests that the engine could not be told to end.
        """
        name = name or uuid4().hex[:12]
        scoring = await self._prepare(name, prompts, options)
        requests = scoring.requests
        scope = anyio.CancelScope(deadline=scoring.deadline - self._settings.return_margin)
        if scoring.empty:
            for place in range(len(requests)):
                on_chunk(place, ScoredChunk("", (), FinishReason.LENGTH))
        else:
            wanted = min(len(requests), self._engine.info.max_branches)
            with await admission.admit(
                wanted, 1, deadline=scoring.deadline, latest=scope.deadline, name=name
            ) as places:
                scope.deadline = min(scope.deadline, places.deadline)
                self._scopes[name] = scope
                limit = self._settings.abort_limit
                aborts = Aborts(self._engine, name, scoring.deadline, limit)
                running = _Running(require_logprobs(self._engine), scoring, aborts, on_chunk)
                try:
                    await running.run(places, scope)
                finally:
                    self._scopes.pop(name, None)
                    on_unacknowledged(aborts.unacknowledged)
        return [len(request.prompt) for request in requests[:: options.get("choices", 1)]]

    def shorten_deadline(self, name: str, deadline: float) -> None:
        """Bring the deadline (anyio clock, seconds) of what runs under this name forward."""
        if (scope := self._scopes.get(name)) is not None:
            scope.deadline = min(scope.deadline, deadline)

    async def _prepare(
        self, name: str, prompts: Sequence[RawPrompt], options: ScoreOptions
    ) -> Scoring:
        deadline = anyio.current_time() + self._maker.deadline(options.get("deadline"))
        most, told = options.get("max_tokens"), bool(options.get("prompt_logprobs"))
        if told or most != 0:
            require_logprobs(self._engine)
        k, seed = options.get("logprobs", 0), options.get("seed")
        if not 0 <= k <= MAX_LOGPROBS:
            raise BadRequest(
                f"logprobs: at most {MAX_LOGPROBS} a token, which is what engines keep", "logprobs"
            )
        choices = options.get("choices", 1)
        if seed is not None and not -(2**63) <= seed < 2**63 - choices:
            raise BadRequest("seed: a whole number of at most 63 bits and a sign", "seed")
        drawn = self._maker.drawn({**_drawn(options), "max_tokens": most or None})
        sampling = Sampling(drawn.temperature, drawn.top_p, drawn.top_k, drawn.stop, k)
        requests, context = list[Generation](), self._engine.info.max_context_tokens
        for prompt in prompts:
            ids = await self._maker.read(prompt, deadline)
            if len(ids) >= context:
                raise PromptTooLong(len(ids), context)
            if told and len(ids) * (k + 1) > MAX_PROMPT_LOGPROBS:
                raise BadRequest(
                    f"logprobs: {k} of {len(ids)} tokens are too many to tell at once: at most "
                    f"{MAX_PROMPT_LOGPROBS} of a prompt, each token's own included",
                    "logprobs",
                )
            room = min(context - len(ids), drawn.max_tokens)
            requests += [
                Generation(
                    request_id=f"{name}-{len(requests) + choice}",
                    prompt=ids,
                    max_tokens=0 if most == 0 else room,
                    sampling=sampling,
                    seed=None if seed is None else seed + choice,
                    priority=int(deadline * 1000),
                )
                for choice in range(options.get("choices", 1))
            ]
        return Scoring(tuple(requests), deadline, told)


def _drawn(options: ScoreOptions) -> RaceOptions:
    return {
        "temperature": options.get("temperature"),
        "top_p": options.get("top_p"),
        "top_k": options.get("top_k"),
        "stop": options.get("stop"),
    }


class _Running:
    """The requests of one scoring while they run."""

    def __init__(
        self, engine: SupportsLogprobs, scoring: Scoring, aborts: Aborts, on_chunk: ScoredSink
    ) -> None:
        self._engine = engine
        self._scoring = scoring
        self._aborts = aborts
        self._on_chunk = on_chunk
        self._left = deque(enumerate(scoring.requests))
        self._begun: set[int] = set()  # something was told
        self._ended: set[int] = set()
        self._failure: FrontrunnerError | None = None

    async def run(self, places: Lease, scope: anyio.CancelScope) -> None:
        """Run all on the places of a lease, which are given back one by one. What was generated by
        the deadline counts, and its last chunk has ``FinishReason.LENGTH``.

        Args:
            scope: has the deadline, and may get an earlier one meanwhile.

        Raises:
            NotInTime: of a request nothing was told by the deadline.
            BadRequest, EngineError: see ``SupportsLogprobs``. The other requests are aborted.
        """
        with scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(places.held):
                    tasks.start_soon(self._work, places, tasks.cancel_scope)
        if self._failure is not None:
            raise self._failure
        self._conclude()

    async def _work(self, places: Lease, all_of_them: anyio.CancelScope) -> None:
        """Run one request after another, until none is left."""
        try:
            while self._left:
                await self._run(*self._left.popleft())
        except FrontrunnerError as error:
            self._failure = self._failure or error  # raised where no ExceptionGroup wraps it
            all_of_them.cancel()
        finally:
            places.release_down_to(places.held - 1)

    async def _run(self, place: int, request: Generation) -> None:
        async with aclosing(self._engine.scored(request, prompt=self._scoring.prompts)) as chunks:
            try:
                async for chunk in chunks:
                    if chunk.finish in (FinishReason.ABORT, FinishReason.ERROR):
                        raise EngineError("the engine lost the request: send it again")
                    self._begun.add(place)
                    if chunk.finish is not None:
                        self._ended.add(place)
                    self._on_chunk(place, chunk)
            finally:
                if place not in self._ended:
                    await self._aborts.abort([request.request_id])

    def _conclude(self) -> None:
        places = range(len(self._scoring.requests))
        if missing := len(places) - len(self._begun):
            raise NotInTime(
                f"log probabilities of {missing} of {len(places)} texts were not known by the "
                "deadline: send fewer prompts at once, or a later frontrunner.deadline"
            )
        for place in places:
            if place not in self._ended:
                self._on_chunk(place, ScoredChunk("", (), FinishReason.LENGTH))
