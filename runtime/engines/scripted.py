"""An engine driven by data: delays, text, answers and failures per branch.

For tests and experiments: it needs no model, and under a virtual clock (trio's ``MockClock``) its
timing is exact. It stands beside the real engine, passes the same conformance suite, and can
misbehave in all the ways that a real one does.
"""

from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice, pairwise
from math import inf, nextafter
from typing import Any
from zlib import crc32

import anyio
import anyio.lowlevel

from ..common.loop_clock import loop_clock
from ..common.timed_event import TimedEvent
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
    Sampling,
    TokenSink,
    ToolTurn,
)

#: Scripts whose timelines are kept.
_TIMELINES = 1024
#: Requests for whose pieces nobody waits that are caught up with when somebody asks: of more, all
#: at once would occupy the event loop for longer than any step of a real engine.
_FEW = 64
#: Seconds in which what more of them have written is delivered once, and requests that are served
#: in one delivery: it takes about as long for many pieces as for one, and holds up whoever is due.
#: All of them take a quarter of the time at most.
_DELIVERY, _DELIVERED = 0.2, 128
_DELIVERY_SHARE = 0.25


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
    that has tokens under way. ``logprob`` is the log probability of each of its tokens.
    """

    pieces: tuple[Piece, ...] = ()
    finish: FinishReason = FinishReason.STOP
    error: str | None = None
    stall: bool = False
    ignores_abort: bool = False
    logprob: float = -0.5

    def measured(self, sampling: Sampling, tokens: int) -> tuple[float, ...]:
        """What a request is told of so many tokens: ``Chunk.confidences``."""
        if not sampling.measured:
            return ()
        return (self.logprob if sampling.likelihoods else 1.0,) * tokens

    @classmethod
    def answering(
        cls,
        answer: str | None,
        *,
        seconds: float,
        tokens: int = 10,
        closing: str = "\\boxed{{{answer}}}",
        logprob: float = -0.5,
    ) -> "BranchScript":
        """A branch of ``tokens`` evenly spaced tokens that ends with ``answer`` in a box."""
        step = seconds / tokens
        last = closing.format(answer=answer) if answer is not None else "I do not know."
        words = [Piece(step, f"step{i} ") for i in range(tokens - 1)]
        return cls((*words, Piece(step, last)), logprob=logprob)


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


@dataclass(slots=True, eq=False)
class _Live:
    """A request that runs."""

    aborted: TimedEvent = field(default_factory=TimedEvent)
    waiting: TimedEvent | None = None  # until something is due


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
        self._timelines: dict[int, _Timeline] = {}  # by the script's id
        self._deliveries = _Deliveries()
        self._open = False
        self._clock: Callable[[], float] = anyio.current_time
        self._started_at = 0.0
        self._killed = False

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def failure(self) -> EngineError | None:
        if not self._open:
            return EngineClosed("the scripted engine is not running")
        if self._killed or self._clock() >= self._started_at + self.script.dies_at:
            return EngineDead("the scripted engine died")
        return None

    async def start(self) -> None:
        self._clock = loop_clock()
        self._open, self._started_at = True, self._clock()

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
                confidences = script.measured(request.sampling, tokens)
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

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        """See ``SupportsFeeding``. Where nobody waits for each piece, the request sleeps until its
        end, and what it would have written by now is worked out when somebody asks; where there
        are many such requests also now and then, that of all at once."""
        if self.failure is not None:
            raise self.failure
        self.requests.append(request)
        live = self._live[request.request_id] = _Live()
        script = self.script.of(request)
        timeline = self._timeline(script)
        written = _Written(request, timeline, sink, self._clock(), self._now)
        if not sink.immediate:
            sink.catch_up = written.catch_up
            self._deliveries.add(live, written)
        try:
            while (due := written.due) is not None:
                await self._wait_until(self._deliveries.due_for(live, due), live, script)
                runs = self._runs(live, script)
                if runs and self._deliveries.falls_to(live, due):
                    self._deliveries.deliver()
                    continue
                written.until(due if runs else self._clock())
                if not runs:
                    return FinishReason.ABORT
            if written.finish is not None:
                return written.finish
            if script.error is not None:
                raise EngineError(script.error)
            if script.stall:
                await self._wait(inf, live, script)
                return FinishReason.ABORT
            return script.finish
        except EngineDead:
            written.catch_up()
            raise
        finally:
            sink.catch_up = None
            self._deliveries.drop(live)
            self._live.pop(request.request_id, None)

    def _timeline(self, script: BranchScript) -> "_Timeline":
        """The timeline of ``script``, worked out once."""
        known = self._timelines.get(id(script))
        if known is None or known.script is not script:
            if len(self._timelines) >= _TIMELINES:
                self._timelines.clear()
            known = self._timelines[id(script)] = _Timeline(script)
        return known

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

    @property
    def _dies_at(self) -> float:
        return self._started_at + self.script.dies_at

    def _now(self) -> float:
        """The present, or the last moment before it died."""
        return min(self._clock(), nextafter(self._dies_at, -inf))

    async def _wait(self, seconds: float, live: _Live, script: BranchScript) -> bool:
        """Whether the request still runs after ``seconds``.

        Raises:
            EngineDead: the engine died meanwhile.
        """
        await self._wait_until(self._clock() + seconds, live, script)
        return self._runs(live, script)

    def _wait_until(self, at: float, live: _Live, script: BranchScript) -> Awaitable[object]:
        """Until ``at``, or until it is aborted or dead; ``_runs`` says which."""
        until = min(at, self._dies_at)
        if until <= self._clock():
            return anyio.lowlevel.checkpoint()
        ignores = script.ignores_abort and not self._killed
        live.waiting = TimedEvent() if ignores else live.aborted
        return live.waiting.wait_until(until)

    def _runs(self, live: _Live, script: BranchScript) -> bool:
        """Whether a request that has waited still runs.

        Raises:
            EngineDead: the engine died meanwhile.
        """
        live.waiting = None
        if self._killed or self._clock() >= self._dies_at:
            raise EngineDead("the scripted engine died")
        return script.ignores_abort or not live.aborted.is_set


class _Timeline:
    """When a script's pieces come, in seconds since its request began, and what they are."""

    __slots__ = ("ids", "script", "seconds", "texts", "tokens")

    def __init__(self, script: BranchScript) -> None:
        self.script = script
        self.seconds = [*accumulate(piece.delay for piece in script.pieces)]
        self.texts = [piece.text for piece in script.pieces]
        self.tokens = [*accumulate((piece.tokens for piece in script.pieces), initial=0)]
        """(num_pieces + 1,) before each piece, and in all."""
        self.ids = [tuple(range(begin, end)) for begin, end in pairwise(self.tokens)]


class _Written:
    """What a request that is fed has written."""

    def __init__(
        self,
        request: Generation,
        timeline: _Timeline,
        sink: TokenSink,
        began: float,
        now: Callable[[], float],
    ) -> None:
        """
        Args:
            now: as far as anything is written (anyio clock, seconds).
        """
        self._timeline = timeline
        self._sink = sink
        self._began, self._now = began, now
        self._place = 0  # pieces that were put
        self._room = request.max_tokens  # tokens that it may still write
        self._sampling = request.sampling
        self._last = self._last_place()
        self.finish: FinishReason | None = None

    def _last_place(self) -> int:
        """The piece with which it ends by itself or is full; else the last one."""
        room = self._room
        ids = self._timeline.ids
        if ids and ids[-1] and ids[-1][-1] < room:
            return len(ids) - 1
        for place, tokens in enumerate(ids):
            room -= len(tokens)
            if room <= 0:
                return place
        return len(ids) - 1

    @property
    def due(self) -> float | None:
        """When there is something to be done next; None: nothing will be."""
        seconds = self._timeline.seconds
        if self._place > self._last or self.finish is not None:
            return None
        every = self._sink.immediate or not self._place
        return self._began + seconds[self._place if every else self._last]

    def until(self, now: float) -> None:
        """Put what is due by ``now``."""
        timeline, last, place = self._timeline, self._last, self._place
        end = self._due_by(now)
        if end == place:
            return
        self._place = end
        texts, ids = timeline.texts[place:end], timeline.ids[place:end]
        tokens = timeline.tokens[end] - timeline.tokens[place]
        if end > last:
            tokens -= len(ids[-1])
            ids[-1] = self._cut(ids[-1], self._room - tokens)
            tokens += len(ids[-1])
        self._room -= tokens
        self._sink.put_all(texts, ids, timeline.script.measured(self._sampling, tokens))

    def _due_by(self, now: float) -> int:
        """The first piece that is to come after ``now``."""
        seconds, began, after = self._timeline.seconds, self._began, self._last + 1
        end = bisect_right(seconds, now - began, self._place, max(self._place, after))
        # A difference is rounded otherwise than the sum that says when a piece is due.
        while end < after and began + seconds[end] <= now:
            end += 1
        while end > self._place and began + seconds[end - 1] > now:
            end -= 1
        return end

    def catch_up(self) -> None:
        """Put what is due by now."""
        self.until(self._now())

    def _cut(self, ids: tuple[int, ...], room: int) -> tuple[int, ...]:
        """What there is room for of its last piece; notes why it ends with that, if it does."""
        script = self._timeline.script
        if len(ids) >= room:
            self.finish = FinishReason.LENGTH
        whole = self._last == len(self._timeline.ids) - 1
        if whole and len(ids) <= room and script.error is None and not script.stall:
            self.finish = script.finish
        return ids[:room]


class _Deliveries:
    """When what requests have written is delivered for which nobody waits: by one of them for all,
    since a timer for each would cost more than what there is to deliver."""

    def __init__(self) -> None:
        self._written: dict[_Live, _Written] = {}  # the next to be served first
        self._leader: _Live | None = None
        self._next = 0.0  # delivery (anyio clock, seconds)

    def add(self, live: _Live, written: _Written) -> None:
        self._written[live] = written

    def drop(self, live: _Live) -> None:
        self._written.pop(live, None)
        if self._leader is live:
            self._leader = None
            for other in self._written:
                if other.waiting is not None:
                    self._leader = other
                    other.waiting.bring_forward(self._next)
                    return

    def due_for(self, live: _Live, due: float) -> float:
        """When a request that has something to do at ``due`` must wake up."""
        if live not in self._written:
            return due
        if len(self._written) <= _FEW:
            if self._leader is live:
                self._leader = None
            return due
        if self._leader is None:
            self._leader, self._next = live, anyio.current_time() + _DELIVERY
        return min(due, self._next) if self._leader is live else due

    def falls_to(self, live: _Live, due: float) -> bool:
        """Whether a request that woke up did so for a delivery, before it was ``due``."""
        return self._leader is live and anyio.current_time() < due

    def deliver(self) -> None:
        """Put what is due, of those that have waited for longest."""
        clock = loop_clock()
        now, requests = clock(), [*islice(self._written, _DELIVERED)]
        for live in requests:
            written = self._written[live] = self._written.pop(live)
            written.until(now)
        share = len(requests) / len(self._written)
        taken = clock() - now
        self._next = now + max(_DELIVERY * share, taken / _DELIVERY_SHARE)


def _token(word: str) -> int:
    return crc32(word.encode()) & 0x7FFF
