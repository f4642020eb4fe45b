"""An engine over a handle of Ray Serve: branches on the replicas of a deployment.

The deployment's replicas each run an engine (``frontrunner.runtime.serving.ray_serve.engines``). A
race's name is the session of its requests, by which Ray's ``ConsistentHashRouter`` keeps it on the
replica that holds its prefix. What is lost with a replica, or stalls there, goes on at another one
(``HasReplicas``).

Ray ends nothing by itself: neither cancelling the task that reads a response nor dropping it stops
the replica, which writes to the end for nobody. So whoever leaves calls ``cancel()``.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final, Protocol

import anyio
import anyio.lowlevel

from ..config import PromptSettings
from ..errors import EngineClosed, EngineError, EngineStartError
from .openai.tokens import LocalTokenizer
from .pool.engine import PoolEngine
from .protocol import (
    Chunk,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    Sampling,
    StepTimes,
    TokenTimes,
    ToolTurn,
)

#: Seconds for the questions of the start: replicas may still load.
_START_LIMIT: Final = 600.0
#: A pause longer than this between two chunks is a stall, not a step.
_MAX_STEP: Final = 2.0
_SHOWN: Final = 300


class Response(Protocol):
    """A stream of Ray Serve's (``DeploymentResponseGenerator``)."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    def cancel(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Live:
    response: Response
    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True
        self.response.cancel()


class RayServeEngine:
    """An ``Engine`` on the replicas of a deployment; needs asyncio, as Ray does."""

    def __init__(
        self,
        handle: Any,
        tokenizer: str,
        *,
        replicas: int,
        prompt: PromptSettings | None = None,
    ) -> None:
        """
        Args:
            handle: of a deployment of ``EngineReplica`` (``serve.get_app_handle(name)``).
            tokenizer: of its model, a folder or a hub name: prompts are made into tokens here.
            replicas: of the deployment; each runs as many requests as its engine says.
            prompt: of the model's chat template.
        """
        self._handle = handle
        self._tokenizer_name = tokenizer
        self._prompt = prompt
        self._replicas = replicas
        self._tokenizer: LocalTokenizer | None = None
        self._info: EngineInfo | None = None
        self._live: dict[str, _Live] = {}
        self._steps, self._tokens = StepTimes(clock=anyio.current_time), TokenTimes()

    # ── life ──────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        self._tokenizer = await LocalTokenizer.load(self._tokenizer_name, self._prompt)
        try:
            with anyio.fail_after(_START_LIMIT):
                info: EngineInfo = await self._handle.info.remote()
        except TimeoutError as error:
            raise EngineStartError(
                f"the deployment gave no answer in {_START_LIMIT:g} s: serve.status() says why"
            ) from error
        except Exception as error:
            raise EngineStartError(f"the deployment cannot be asked: {_told(error)}") from error
        self._info = replace(
            info,
            name="ray",
            max_branches=info.max_branches * self._replicas,
            chat=self._tokenizer.chat,
            logprobs=False,
        )
        try:
            await self._warm_up()
        except EngineError as error:
            await self.aclose()
            raise EngineStartError(f"the deployment generates nothing: {error}") from error

    async def _warm_up(self) -> None:
        """Measure how fast text comes."""
        prompt = self.encode_chat([{"role": "user", "content": "Count from one to ten."}])
        async for _ in self.generate(Generation("warm-up", prompt, 16, Sampling())):
            pass

    async def aclose(self) -> None:
        """Leave the deployment, which is not this engine's to end."""
        self._info = None
        for live in list(self._live.values()):
            live.abort()
        await anyio.lowlevel.checkpoint()

    # ── serving ───────────────────────────────────────────────────────────────────────────────

    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            raise EngineClosed("the engine is not running")
        return self._info

    @property
    def failure(self) -> EngineError | None:
        return EngineClosed("the engine is not running") if self._info is None else None

    @property
    def replicas(self) -> int:
        """See ``HasReplicas``: at least 2, since Ray replaces one that dies."""
        return max(2, self._replicas)

    def encode(self, text: str) -> tuple[int, ...]:
        return self._encoder.encode(text)

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        """See ``SupportsRawPrompts``."""
        return self._encoder.encode_prompt(text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        return self._encoder.encode_chat(messages, tools, arguments)

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """See ``SupportsToolTurns``."""
        return self._encoder.tool_turn(turn)

    @property
    def _encoder(self) -> LocalTokenizer:
        if self._tokenizer is None:
            raise EngineClosed("the engine is not running")
        return self._tokenizer

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        _ = self.info  # raises if it is not running
        session = request.race or request.request_id
        handle = self._handle.options(stream=True, session_id=session)
        # Its deadline is a moment of this process's clock: another machine has another one.
        asked = handle.generate.remote(replace(request, deadline=inf))
        live = self._live[request.request_id] = _Live(asked)
        last, began, ended = time.monotonic(), False, False
        try:
            async for chunk in live.response:
                now = time.monotonic()
                if began:  # the first one also reads the prompt
                    self._took(now - last, len(chunk.token_ids))
                last, began, ended = now, True, chunk.finish is not None
                yield chunk
                if ended:
                    return
            lost = "the replica ended the request without a reason"
        except Exception as error:  # noqa: BLE001 - raised below as ours: one replica is not all
            # Ray says it so, too, if this task is cancelled: that comes first.
            await anyio.lowlevel.checkpoint()
            lost = f"the replica was lost: {_told(error)}"
        finally:
            if not ended:
                live.response.cancel()
            if self._live.get(request.request_id) is live:
                del self._live[request.request_id]
        if not live.aborted:
            raise EngineError(lost)
        yield Chunk("", (), FinishReason.ABORT)

    async def abort(self, request_ids: Sequence[str]) -> None:
        for request_id in request_ids:
            if (live := self._live.get(request_id)) is not None:
                live.abort()
        await anyio.lowlevel.checkpoint()

    def load(self) -> EngineLoad:
        """What this side knows: others may use the deployment too."""
        return EngineLoad(
            running=len(self._live),
            step_seconds=self._steps.quantile(0.95),
            idle_step_seconds=self._steps.idle,
            token_seconds=self._tokens.seconds,
            token_batch=self._tokens.batch,
        )

    def _took(self, seconds: float, tokens: int) -> None:
        if tokens and seconds <= _MAX_STEP:
            running = len(self._live)
            self._steps.add(seconds / tokens)
            self._tokens.add(seconds, running, tokens * running)


def over_handle(
    handle: Any,
    tokenizer: str,
    *,
    replicas: int,
    prompt: PromptSettings | None = None,
    stall_after: float = 2.0,
) -> PoolEngine:
    """An ``Engine`` on a deployment whose replicas may be lost: as ``RayServeEngine``, and what a
    replica loses or holds goes on at another one.

    Args:
        handle, tokenizer, replicas, prompt: see ``RayServeEngine``.
        stall_after: seconds for which a branch may say nothing, at most, before it goes elsewhere.
    """
    engine = RayServeEngine(handle, tokenizer, replicas=replicas, prompt=prompt)
    return PoolEngine({"ray": engine}, stall_after=stall_after)


def _told(error: Exception) -> str:
    """An error of Ray's in a line: it holds the traceback of another process."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:_SHOWN]
