"""Several engines that serve the same model, in this process or elsewhere, in any mix, as one.

``routing`` says where a request goes. A member that is lost, or that has stalled, costs nothing but
time: what it had not begun is begun elsewhere, and what it had begun goes on elsewhere from the
exact tokens that there are, as long as the race's deadline is not over. Only if no member is left
is the request lost. What looks after the members (``member_health``) runs beside the engine, as
``Runtime`` has it do; without it a member that says nothing is waited for.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from math import inf
from typing import Any, cast

from ...config import ThinkingSettings
from ...errors import BadRequest, EngineClosed, EngineError, EngineStartError
from ..logprobs import ScoredChunk
from ..protocol import (
    Chunk,
    CountsRestarts,
    Engine,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    SupportsPromptEnds,
    SupportsReasoningParsers,
    SupportsToolTurns,
    TakesThinking,
    TokenSink,
    ToolTurn,
    encode_prompt,
    takes_tool_turns,
)
from .load import pooled_load
from .member_health import Health
from .members import MemberReport, Members
from .requests import Requests


class PoolEngine:
    """An ``Engine`` of several that serve the same model. Members join, drain and leave while races
    run; what one loses goes on elsewhere from its exact tokens."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        *,
        stall_after: float = 2.0,
        hedge_after: float | None = None,
    ) -> None:
        """
        Args:
            engines: the members, not started, by their names.
            stall_after: seconds for which a member with work may be silent, at most.
            hedge_after: seconds without a token after which the first branch of a race is begun on
                a second member too; None: never.
        """
        self._members = Members(engines)
        self._requests = Requests(self._members, hedge_after)
        self._health = Health(self._members, self._requests, stall_after)
        self._thinking: ThinkingSettings | None = None

    # ── life ──────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        try:
            await self._members.start()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        self._requests.close()
        await self._members.aclose()

    async def run_beside(self) -> None:
        """See ``RunsBeside``."""
        await self._health.run()

    @property
    def restarts(self) -> int:
        """See ``CountsRestarts``."""
        engines = [member.engine for member in self._members.all]
        return sum(each.restarts for each in engines if isinstance(each, CountsRestarts))

    # ── members ───────────────────────────────────────────────────────────────────────────────

    def members(self) -> list[MemberReport]:
        """How each member is."""
        return self._members.reports()

    async def join(self, name: str, engine: Engine) -> None:
        """Start ``engine`` and take it in; it is closed by the pool.

        Raises:
            BadRequest: there is a member of this name.
            EngineStartError: it did not start, or it serves something else than the others do.
        """
        if self._thinking is not None and isinstance(engine, TakesThinking):
            engine.take_thinking(self._thinking)
        await self._members.join(name, engine)

    async def drain(self, name: str, seconds: float = inf) -> bool:
        """Send a member no new races, and wait until those that it has are over, ``seconds`` at
        most; returns whether they are. ``resume`` takes it back.

        Raises:
            BadRequest: there is no such member.
        """
        return await self._members.drain(name, seconds)

    def resume(self, name: str) -> None:
        """Send races again to a member that was drained.

        Raises:
            BadRequest: there is no such member.
        """
        self._members.resume(name)

    async def leave(self, name: str, seconds: float = 0.0) -> None:
        """Drain a member for so many seconds at most, have what it still runs go on elsewhere, and
        close it.

        Raises:
            BadRequest: there is no such member, or no other.
        """
        member = self._members.named(name)
        if len(self._members.started) == 1 and member in self._members.started:
            raise BadRequest(f"{name} is the pool's only member: let another join first", "member")
        await self._members.drain(name, seconds)
        member.breaker.trip(EngineClosed(f"{name} has left the pool"))
        self._requests.empty(member)
        await self._members.remove(member)

    # ── what all are together ─────────────────────────────────────────────────────────────────

    @property
    def info(self) -> EngineInfo:
        return self._members.info

    @property
    def failure(self) -> EngineError | None:
        return self._members.failure

    @property
    def slots(self) -> int:
        """See ``SharesSlots``: of the members that serve; of all, if none does, since what begins
        then fails for that reason and no other."""
        serving = self._members.serving or self._members.started
        return sum(member.slots for member in serving)

    def load(self) -> EngineLoad:
        return pooled_load(self._members.serving)

    def encode(self, text: str) -> tuple[int, ...]:
        ids = self._members.speaker.encode(text)
        for member in self._members.started:
            if member.engine is not self._members.speaker and member.engine.failure is None:
                member.engine.encode(text)  # which a remote one has its endpoint asked for in time
        return ids

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        """See ``SupportsRawPrompts``."""
        return encode_prompt(self._members.speaker, text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        return self._members.speaker.encode_chat(messages, tools, arguments)

    @property
    def takes_tool_turns(self) -> bool:
        """See ``protocol.takes_tool_turns``: a branch may go on with any member."""
        return all(takes_tool_turns(member.engine) for member in self._members.all)

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """See ``SupportsToolTurns``."""
        return cast(SupportsToolTurns, self._members.speaker).tool_turn(turn)

    def prompt_end(self, prompt: Sequence[int]) -> str | None:
        """See ``SupportsPromptEnds``."""
        speaker = self._members.speaker
        return speaker.prompt_end(prompt) if isinstance(speaker, SupportsPromptEnds) else None

    def reasoning_marks(self, parser: str) -> tuple[str, str]:
        """See ``SupportsReasoningParsers``."""
        speaker = self._members.speaker
        if not isinstance(speaker, SupportsReasoningParsers):
            raise EngineStartError(
                "thinking.parser: the pool's engines know no parsers: set thinking.start and "
                "thinking.end"
            )
        return speaker.reasoning_marks(parser)

    def take_thinking(self, thinking: ThinkingSettings) -> None:
        """See ``TakesThinking``."""
        self._thinking = thinking
        for member in self._members.all:
            if isinstance(member.engine, TakesThinking):
                member.engine.take_thinking(thinking)

    # ── requests ──────────────────────────────────────────────────────────────────────────────

    def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        return self._requests.generate(request)

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        """See ``SupportsFeeding``."""
        return await self._requests.feed(request, sink)

    async def abort(self, request_ids: Sequence[str]) -> None:
        await self._requests.abort(request_ids)

    def scored(
        self, request: Generation, *, prompt: bool = False
    ) -> AsyncGenerator[ScoredChunk, None]:
        """See ``SupportsLogprobs``; it begins on one member, and ends there."""
        return self._requests.scored(request, prompt=prompt)

    async def next_tokens(
        self, prompt: Sequence[int], k: int, *, request_id: str, priority: int = 0
    ) -> Sequence[tuple[str, float]]:
        """See ``SupportsNextTokens``."""
        return await self._requests.next_tokens(prompt, k, request_id, priority)
