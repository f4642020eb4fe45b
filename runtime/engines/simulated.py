"""An engine that takes as long as a step-time model says, under a virtual or a real clock.

It schedules as vLLM does where that matters to a race: all requests share one step, a step is never
interrupted, an abort frees its requests at the end of the step, prompts are taken in by chunks
beside the branches that run, what a prefix cache holds is not taken in again, and requests wait, by
priority, where places or the KV cache are full. It makes no text worth reading.

There is no task behind it: whoever looks computes the steps that have ended since the last look, so
a slow reader gets merged chunks and the times stay exact.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from zlib import crc32

import anyio

from ..cost_model.acceptance import NOTHING_ACCEPTED, Acceptance
from ..cost_model.step_time import StepTime
from ..errors import EngineClosed, EngineError
from .protocol import (
    Chunk,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    StepTimes,
    TokenTimes,
)
from .workloads import PlannedOutput, Workload

#: Prompts that are remembered, to know how much of a branch a forced one continues.
_PROMPTS = 1024


@dataclass(frozen=True, slots=True)
class SimulatedHardware:
    """What is simulated. Times in seconds, sizes in tokens."""

    step: StepTime
    acceptance: Acceptance = NOTHING_ACCEPTED
    k: Callable[[int], int] = lambda batch: 0
    """Draft tokens by the number of branches in a step."""
    max_branches: int = 256
    max_context_tokens: int = 100_000
    prefill_tokens_per_step: int = 2048
    cache_tokens: int = 1_000_000
    cache_block_tokens: int = 16
    name: str = "simulated"


@dataclass(slots=True, eq=False)
class _Request:
    generation: Generation
    output: PlannedOutput
    rng: Random
    number: int
    prefill: int  # prompt tokens still to take in
    written: int = 0
    delivered: int = 0
    finish: FinishReason | None = None
    aborted: bool = False
    admitted: bool = False
    woken: anyio.Event = field(default_factory=anyio.Event)

    @property
    def context(self) -> int:
        return len(self.generation.prompt) + self.written

    @property
    def limit(self) -> int:
        return min(self.output.tokens, self.generation.max_tokens)


@dataclass(slots=True)
class _Step:
    """The step under way."""

    ends: float
    seconds: float
    decoding: list[_Request]
    filling: list[tuple[_Request, int]]
    k: int


class SimulatedEngine:
    """An ``Engine`` on a ``StepTime``."""

    def __init__(self, hardware: SimulatedHardware, workload: Workload) -> None:
        self.hardware = hardware
        self.workload = workload
        self._requests: dict[str, _Request] = {}
        self._running: list[_Request] = []
        self._step: _Step | None = None
        self._cache = _PrefixCache(hardware.cache_tokens, hardware.cache_block_tokens)
        self._prompts: OrderedDict[tuple[int, ...], None] = OrderedDict()
        self._times = StepTimes(clock=anyio.current_time)  # which may be a virtual one
        self._tokens = TokenTimes()
        self._drafting = self._accepted = 0
        self._open = False
        self._made = 0

    # ── life ──────────────────────────────────────────────────────────────────────────────────

    @property
    def info(self) -> EngineInfo:
        hardware = self.hardware
        return EngineInfo(
            name="simulated",
            model=hardware.name,
            max_context_tokens=hardware.max_context_tokens,
            max_branches=hardware.max_branches,
            prefill_tokens_per_step=hardware.prefill_tokens_per_step,
            cache_block_tokens=hardware.cache_block_tokens,
            seeded=True,
        )

    @property
    def failure(self) -> EngineError | None:
        return None if self._open else EngineClosed("the simulated engine is not running")

    async def start(self) -> None:
        self._open = True

    async def aclose(self) -> None:
        self._open = False
        for request in self._requests.values():
            request.aborted = True
            request.woken.set()
        self._requests.clear()
        self._running.clear()
        self._step = None

    # ── serving ───────────────────────────────────────────────────────────────────────────────

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(crc32(word.encode()) & 0x7FFF for word in text.split())

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        said = [str(message.get("content") or "") for message in messages]
        said += [f"{name}={value!r}" for name, value in (arguments or {}).items()]
        return self.encode(" ".join(said))

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        if self.failure is not None:
            raise self.failure
        self._catch_up()
        live = self._enter(request)
        try:
            while True:
                chunk = await self._next_chunk(live)
                yield chunk
                if chunk.finish is not None:
                    return
        finally:
            self._leave(live)

    async def abort(self, request_ids: Sequence[str]) -> None:
        self._catch_up()
        for request_id in request_ids:
            live = self._requests.get(request_id)
            if live is not None and live.finish is None:
                live.aborted = True
                live.woken.set()

    def load(self) -> EngineLoad:
        self._catch_up()
        alive = [r for r in self._requests.values() if r.finish is None]
        running = sum(r.admitted for r in alive)
        held = sum(r.context for r in self._running)
        return EngineLoad(
            running=running,
            waiting=len(alive) - running,
            cache_usage=min(1.0, held / self.hardware.cache_tokens),
            step_seconds=self._times.quantile(0.95),
            token_seconds=self._tokens.seconds,
            token_batch=self._tokens.batch,
            acceptance_length=1 + self._accepted / self._drafting if self._drafting else None,
        )

    # ── requests ──────────────────────────────────────────────────────────────────────────────

    def _enter(self, generation: Generation) -> _Request:
        written = 0
        if generation.forced:
            written = len(generation.prompt) - self._prompt_length(generation.prompt)
        else:
            self._prompts[generation.prompt] = None
            if len(self._prompts) > _PROMPTS:
                self._prompts.popitem(last=False)
        self._made += 1
        live = _Request(
            generation,
            self.workload.output_of(generation, written),
            Random(f"{generation.seed}/{generation.branch}/{generation.forced}"),
            self._made,
            prefill=len(generation.prompt),
        )
        self._requests[generation.request_id] = live
        if self._step is None:
            self._begin_step(anyio.current_time())
        return live

    def _prompt_length(self, prompt: tuple[int, ...]) -> int:
        return max((len(p) for p in self._prompts if prompt[: len(p)] == p), default=len(prompt))

    async def _next_chunk(self, live: _Request) -> Chunk:
        while True:
            self._catch_up()
            if live.delivered < live.written or live.finish is not None:
                return _taken(live)
            if not self._open:
                return Chunk("", (), FinishReason.ABORT)
            ends = self._step.ends if self._step is not None else anyio.current_time()
            if live.aborted:
                await anyio.sleep_until(ends)
            else:
                with anyio.move_on_at(ends):
                    await live.woken.wait()

    def _leave(self, live: _Request) -> None:
        """Its stream has ended, or its reader has gone."""
        self._catch_up()
        if self._requests.get(live.generation.request_id) is live:
            del self._requests[live.generation.request_id]
        live.aborted = True

    # ── steps ─────────────────────────────────────────────────────────────────────────────────

    def _catch_up(self) -> None:
        """Compute all steps that have ended by now."""
        now = anyio.current_time()
        while self._step is not None and self._step.ends <= now:
            step = self._step
            self._end_step(step)
            self._begin_step(step.ends)

    def _begin_step(self, now: float) -> None:
        hardware = self.hardware
        self._running = [r for r in self._running if not r.aborted and r.finish is None]
        self._admit()
        decoding = [r for r in self._running if r.prefill == 0]
        k = hardware.k(len(decoding)) if decoding else 0
        room = max(0, hardware.prefill_tokens_per_step - len(decoding) * (k + 1))
        filling: list[tuple[_Request, int]] = []
        for request in self._running:
            if request.prefill and room:
                part = min(room, request.prefill)
                filling.append((request, part))
                room -= part
        if not decoding and not filling:
            self._step = None
            return
        batch = len(decoding)
        context = sum(r.context for r in decoding) / batch if batch else 0.0
        prompts = sum(part for _, part in filling)
        seconds = hardware.step.seconds(batch, context, k, prompts)
        # Of the prompts that are taken in, each is a row of the batch as well.
        seconds += hardware.step.row * len(filling)
        self._times.add(seconds)
        self._step = _Step(now + seconds, seconds, decoding, filling, k)

    def _admit(self) -> None:
        hardware = self.hardware
        held = sum(r.context for r in self._running)
        waiting = [
            r
            for r in self._requests.values()
            if not r.admitted and r.finish is None and not r.aborted
        ]
        for request in sorted(waiting, key=lambda r: (r.generation.priority, r.number)):
            if len(self._running) >= hardware.max_branches:
                return
            if self._running and held + request.context > hardware.cache_tokens:
                return
            held += request.context
            request.prefill = max(1, request.context - self._cache.known(request.generation.prompt))
            self._cache.add(request.generation.prompt)
            self._running.append(request)
            request.admitted = True

    def _end_step(self, step: _Step) -> None:
        before = sum(r.written for r in self._running)
        for request, part in step.filling:
            request.prefill -= part
            if request.prefill == 0:
                self._write(request, 1)
        for request in step.decoding:
            tokens = 1
            if step.k:
                self._drafting += 1
                tokens += self._drawn(request, step.k)
                self._accepted += tokens - 1
            self._write(request, tokens)
        written = sum(r.written for r in self._running) - before
        self._tokens.add(step.seconds, len(self._running), written)
        for request in [*self._requests.values()]:
            if request.aborted and request.finish is None:
                request.finish = FinishReason.ABORT
                self._forget(request)

    def _drawn(self, request: _Request, k: int) -> int:
        probability = self.hardware.acceptance.at(request.written)
        accepted = 0
        while accepted < k and request.rng.random() < probability:
            accepted += 1
        return accepted

    def _write(self, request: _Request, tokens: int) -> None:
        if request.aborted or request.finish is not None:
            return
        request.written = min(request.limit, request.written + tokens)
        if request.written == request.limit:
            whole = request.written == request.output.tokens
            request.finish = FinishReason.STOP if whole else FinishReason.LENGTH
            self._forget(request)

    def _forget(self, request: _Request) -> None:
        """It runs no more; what it wrote stays in the cache."""
        self._cache.add((*request.generation.prompt, *_ids(request, 0, request.written)))


def _ids(request: _Request, start: int, end: int) -> tuple[int, ...]:
    first = len(request.generation.prompt)
    return tuple(0x8000 + first + n for n in range(start, end))


def _taken(live: _Request) -> Chunk:
    """What was written since the last chunk."""
    start, end = live.delivered, live.written
    live.delivered = end
    first = len(live.generation.prompt)
    text = "".join(live.output.token(n, first + n) for n in range(start, end))
    return Chunk(text, _ids(live, start, end), live.finish)


class _PrefixCache:
    """Which blocks of tokens are in the KV cache, the least recently used of them going first."""

    def __init__(self, tokens: int, block: int) -> None:
        self._block = block
        self._room = max(1, int(min(tokens, 1 << 40)) // block)
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def known(self, prompt: Sequence[int]) -> int:
        """Tokens at the start of ``prompt`` that need not be taken in again."""
        known = 0
        for key in self._keys(prompt):
            if key not in self._blocks:
                break
            known += self._block
        return known

    def add(self, tokens: Sequence[int]) -> None:
        for key in self._keys(tokens):
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        while len(self._blocks) > self._room:
            self._blocks.popitem(last=False)

    def _keys(self, tokens: Sequence[int]) -> list[int]:
        keys, key = list[int](), 0
        for start in range(0, len(tokens) - self._block + 1, self._block):
            key = hash((key, *tokens[start : start + self._block]))
            keys.append(key)
        return keys


def constant_k(k: int) -> Callable[[int], int]:
    """The same number of draft tokens at every batch size."""
    return lambda batch: k
