"""An engine that is started again when it dies or hangs.

``SupervisedEngine`` is an ``Engine`` around a factory of engines; ``supervision`` looks after them.
A pool runs the ``run_beside`` of each of its members.

Whoever asks meanwhile is refused with ``EngineRestarting`` and does not wait: how long a start
takes is only a guess, whether it works is not known, and a caller who is told at once can go to
another server, or come back when it is told to.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeVar, cast

from ..errors import EngineError, EngineStartError
from .logprobs import ScoredChunk, SupportsLogprobs
from .next_tokens import SupportsNextTokens
from .protocol import (
    Chunk,
    Engine,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    SupportsReasoningParsers,
    SupportsToolTurns,
    TokenSink,
    ToolTurn,
    encode_prompt,
    feeding,
    takes_tool_turns,
)
from .supervision import Restartable, Supervised, Supervision

__all__ = ["RestartableEngine", "SupervisedEngine", "Supervision", "running_engine"]


class RestartableEngine(Restartable, Engine, Protocol):
    """An ``Engine`` in processes of this program's own."""


E = TypeVar("E", bound=RestartableEngine)


class SupervisedEngine(Supervised[E]):
    """An ``Engine`` that is made anew when it dies or hangs."""

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def encode(self, text: str) -> tuple[int, ...]:
        return self._engine.encode(text)

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        """See ``SupportsRawPrompts``."""
        return encode_prompt(self._engine, text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        return self._engine.encode_chat(messages, tools, arguments)

    def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        return self._engine.generate(request)  # its own: nothing is added to the way of a token

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        """See ``SupportsFeeding``."""
        engine: Engine = self._engine
        if (feeder := feeding(engine)) is not None:
            return await feeder.feed(request, sink)
        finish: FinishReason | None = None
        async with aclosing(engine.generate(request)) as chunks:
            async for chunk in chunks:
                sink.put(chunk.text, chunk.token_ids, chunk.confidences)
                finish = chunk.finish
        if finish is None:
            raise EngineError("the engine ended the request without a reason")
        return finish

    async def abort(self, request_ids: Sequence[str]) -> None:
        await self._engine.abort(request_ids)

    def load(self) -> EngineLoad:
        return self._engine.load()

    # ── what an engine may also be able to do ─────────────────────────────────────────────────

    @property
    def takes_tool_turns(self) -> bool:
        """See ``protocol.takes_tool_turns``."""
        return takes_tool_turns(self._engine)

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """See ``SupportsToolTurns``."""
        return cast(SupportsToolTurns, self._engine).tool_turn(turn)

    def reasoning_marks(self, parser: str) -> tuple[str, str]:
        """See ``SupportsReasoningParsers``."""
        engine: Engine = self._engine
        if not isinstance(engine, SupportsReasoningParsers):
            raise EngineStartError("thinking.parser: this engine cannot ask vLLM's parsers")
        return engine.reasoning_marks(parser)

    async def next_tokens(
        self, prompt: Sequence[int], k: int, *, request_id: str, priority: int = 0
    ) -> Sequence[tuple[str, float]]:
        """See ``SupportsNextTokens``; where ``info.logprobs`` says so."""
        engine = cast(SupportsNextTokens, self._engine)
        return await engine.next_tokens(prompt, k, request_id=request_id, priority=priority)

    def scored(
        self, request: Generation, *, prompt: bool = False
    ) -> AsyncGenerator[ScoredChunk, None]:
        """See ``SupportsLogprobs``; where ``info.logprobs`` says so."""
        return cast(SupportsLogprobs, self._engine).scored(request, prompt=prompt)


def running_engine(engine: Engine) -> Engine:
    """The engine behind a supervised one, now; any other is itself."""
    return engine.inner if isinstance(engine, SupervisedEngine) else engine
