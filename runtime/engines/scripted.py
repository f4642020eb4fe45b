"""An engine driven by data: delays, text, answers and failures per branch.

For tests and experiments: it needs no model, and under a virtual clock (trio's ``MockClock``) its
timing is exact. It stands beside the real engine, passes the same conformance suite, and can
misbehave in all the ways that a real one does.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any
from zlib import crc32

import anyio

from ..errors import EngineClosed, EngineDead, EngineError
from .logprobs import ScoredChunk, TokenLogprob, likeliest
from .protocol import (
    ChatSupport,
    Chunk,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    ToolTurn,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Wait ``delay`` seconds, then emit ``text`` as ``tokens`` tokens."""

    delay: float
    text: str
    tokens: int = 1


@dataclass(frozen=True, slots=True)
class BranchScript:
    """What one request does.

    After its pieces it ends with ``finish``; with ``error`` it raises that instead; with
    ``stall`` it never ends. ``ignores_abort`` keeps it emitting after an abort, as an engine does
    that has tokens under way.
    """

    pieces: tuple[Piece, ...] = ()
    finish: FinishReason = FinishReason.STOP
    error: str | None = None
    stall: bool = False
    ignores_abort: bool = False

    @classmethod
    def answering(
        cls,
        answer: str | None,
        *,
        seconds: float,
        tokens: int = 10,
        closing: str = "\\boxed{{{answer}}}",
    ) -> "BranchScript":
        """A branch of ``tokens`` evenly spaced tokens that ends with ``answer`` in a box."""
        step = seconds / tokens
        last = closing.format(answer=answer) if answer is not None else "I do not know."
        words = [Piece(step, f"step{i} ") for i in range(tokens - 1)]
        return cls((*words, Piece(step, last)))


@dataclass(slots=True)
class Script:
    """What an engine does with the branches of every race.

    ``branches[i % len(branches)]`` is branch ``i``'s request and ``forced`` likewise its forced
    continuation. ``dies_at`` (seconds after the start) kills the engine; ``abort_delay`` makes
    aborts slow (``inf``: they hang).
    """

    branches: Sequence[BranchScript]
    forced: Sequence[BranchScript] = (BranchScript(),)
    dies_at: float = inf
    abort_delay: float = 0.0
    chooser: Callable[[Generation], BranchScript | None] | None = None

    def of(self, request: Generation) -> BranchScript:
        """What this request does."""
        if self.chooser is not None and (chosen := self.chooser(request)) is not None:
            return chosen
        scripts = self.forced if request.forced else self.branches
        return scripts[request.branch % len(scripts)]


@dataclass(slots=True)
class _Live:
    """A request that runs."""

    aborted: anyio.Event = field(default_factory=anyio.Event)


class ScriptedEngine:
    """An ``Engine`` that plays a ``Script``."""

    def __init__(
        self,
        script: Script,
        *,
        max_branches: int = 256,
        max_context_tokens: int = 100_000,
        step_seconds: float = 0.01,
        logprobs: bool = False,
        chat: ChatSupport | None = None,
    ) -> None:
        """
        Args:
            logprobs: whether it tells log probabilities: made up ones, the same for the same token.
            chat: what its chat template is said to show.
        """
        self.script = script
        self.requests: list[Generation] = []  # every request ever made, for assertions
        self.aborts: list[tuple[str, ...]] = []  # every abort call
        self._info = EngineInfo(
            name="scripted",
            model="scripted",
            max_context_tokens=max_context_tokens,
            max_branches=max_branches,
            prefill_tokens_per_step=8192,
            cache_block_tokens=1,
            seeded=True,
            logprobs=logprobs,
            chat=chat or ChatSupport(),
        )
        self._words: dict[int, str] = {}  # that were encoded
        self._step_seconds = step_seconds
        self._live: dict[str, _Live] = {}
        self._open = False
        self._started_at = 0.0
        self._killed = False

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def failure(self) -> EngineError | None:
        if not self._open:
            return EngineClosed("the scripted engine is not running")
        if self._killed or anyio.current_time() >= self._started_at + self.script.dies_at:
            return EngineDead("the scripted engine died")
        return None

    async def start(self) -> None:
        self._open, self._started_at = True, anyio.current_time()

    async def aclose(self) -> None:
        self._open = False
        for live in self._live.values():
            live.aborted.set()

    def kill(self) -> None:
        """Die now, losing all requests."""
        self._killed = True
        for live in self._live.values():
            live.aborted.set()

    def encode(self, text: str) -> tuple[int, ...]:
        words = text.split()
        if self._info.logprobs:
            self._words |= {_token(word): word for word in words}
        return tuple(_token(word) for word in words)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        said = [str(message.get("content") or "") for message in messages]
        said += [f"{name}={value!r}" for name, value in (arguments or {}).items()]
        return self.encode(" ".join(said))

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """See ``SupportsToolTurns``."""
        return self.encode(" ".join(turn.results))

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        if self.failure is not None:
            raise self.failure
        self.requests.append(request)
        live = self._live[request.request_id] = _Live()
        script, emitted = self.script.of(request), 0
        try:
            for piece in script.pieces:
                if not await self._wait(piece.delay, live, script):
                    yield Chunk("", (), FinishReason.ABORT)
                    return
                tokens = min(piece.tokens, request.max_tokens - emitted)
                emitted += tokens
                full = emitted >= request.max_tokens
                last = piece is script.pieces[-1] and script.error is None and not script.stall
                finish = FinishReason.LENGTH if full else script.finish if last else None
                if last and emitted == request.max_tokens and tokens == piece.tokens:
                    finish = script.finish
                ids = tuple(range(emitted - tokens, emitted))
                confidences = (1.0,) * tokens if request.sampling.logprobs else ()
                yield Chunk(piece.text, ids, finish, confidences)
                if finish is not None:
                    return
            if script.error is not None:
                raise EngineError(script.error)
            if script.stall:
                await self._wait(inf, live, script)
                yield Chunk("", (), FinishReason.ABORT)
            else:
                yield Chunk("", (), script.finish)
        finally:
            self._live.pop(request.request_id, None)

    async def scored(
        self, request: Generation, *, prompt: bool = False
    ) -> AsyncGenerator[ScoredChunk, None]:
        """Log probabilities (see ``SupportsLogprobs``)."""
        k = request.sampling.logprobs
        told = tuple(self._scored(i, k) for i in request.prompt) if prompt else ()
        if told:
            told = (TokenLogprob(told[0].text.lstrip(), None, {}), *told[1:])
        asked = replace(request, max_tokens=max(1, request.max_tokens))
        async with aclosing(self.generate(asked)) as chunks:
            async for chunk in chunks:
                if not request.max_tokens:
                    aborted = chunk.finish is FinishReason.ABORT
                    finish = chunk.finish if aborted else FinishReason.LENGTH
                    yield ScoredChunk("", (), finish, told)
                    return
                texts = [chunk.text, *("" for _ in chunk.token_ids[1:])]
                tokens = tuple(
                    TokenLogprob(text, -0.5, likeliest([(text, -0.5), ("…", -1.5)][: k or 1]))
                    for text in texts[: len(chunk.token_ids)]
                )
                yield ScoredChunk(chunk.text, tokens, chunk.finish, told)
                told = ()

    def _scored(self, token: int, k: int) -> TokenLogprob:
        """Odd tokens are the likeliest at their place, even ones the second."""
        text, logprob = f" {self._words.get(token, token)}", -float(1 + token % 4)
        other = ("…", logprob + 0.5 if token % 2 == 0 else logprob - 0.5)
        top = [(text, logprob), other] if k and (token % 2 == 0 or k > 1) else [(text, logprob)]
        return TokenLogprob(text, logprob, likeliest(top))

    async def abort(self, request_ids: Sequence[str]) -> None:
        self.aborts.append(tuple(request_ids))
        if self.script.abort_delay:
            await anyio.sleep(self.script.abort_delay)
        for request_id in request_ids:
            if request_id in self._live:
                self._live[request_id].aborted.set()

    def load(self) -> EngineLoad:
        return EngineLoad(running=len(self._live), step_seconds=self._step_seconds)

    async def _wait(self, seconds: float, live: _Live, script: BranchScript) -> bool:
        """Whether the request still runs after ``seconds``.

        Raises:
            EngineDead: the engine died meanwhile.
        """
        dies_at = self._started_at + self.script.dies_at
        until = min(anyio.current_time() + seconds, dies_at)
        if script.ignores_abort and not self._killed:
            await anyio.sleep_until(until)
        else:
            with anyio.move_on_at(until):
                await live.aborted.wait()
        if self._killed or anyio.current_time() >= dies_at:
            raise EngineDead("the scripted engine died")
        return script.ignores_abort or not live.aborted.is_set()


def _token(word: str) -> int:
    return crc32(word.encode()) & 0x7FFF
