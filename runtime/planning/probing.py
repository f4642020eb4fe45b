"""Timing an engine through its protocol: paces, launches, aborts, forced answers, acceptance.

Everything here runs alone on an engine, and sees only what any user of it sees: when which chunk
came. Times are on the anyio clock.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from itertools import count

import anyio

from ..cost_model.acceptance import AcceptanceCount
from ..engines.protocol import Chunk, Engine, FinishReason, Generation, Sampling
from ..errors import EngineError
from ..racing.spec import Forcing
from .profile import AbortPoint, ForcedPoint, LaunchPoint, PacePoint

#: Tokens of a branch below which a pace says too little.
_MIN_TOKENS = 6.0
#: Where acceptance is counted: with more branches a chunk is more often two steps' in one.
_COUNTED_BATCH = 8
#: How fine positions are noted for acceptance, in tokens.
_POSITIONS = 64
#: Before branches are aborted or forced, tokens that they generate.
_RUN_UP = 12


class CannotMeasure(Exception):
    """The engine does not let this be measured; the message says why."""


@dataclass(slots=True)
class _Stream:
    """One request as it came in."""

    generation: Generation
    times: list[float] = field(default_factory=list[float])
    counts: list[int] = field(default_factory=list[int])  # tokens by then
    ids: list[int] = field(default_factory=list[int])
    finish: FinishReason | None = None
    lost: EngineError | None = None

    def took(self, chunk: Chunk, now: float) -> None:
        self.finish = chunk.finish
        if chunk.token_ids:
            self.ids += chunk.token_ids
            self.times.append(now)
            self.counts.append(len(self.ids))

    def tokens_at(self, moment: float) -> int:
        tokens = 0
        for time, counted in zip(self.times, self.counts, strict=True):
            if time > moment:
                break
            tokens = counted
        return tokens


_Act = Callable[[Sequence[_Stream]], Awaitable[float]]


class Prober:
    """Measures one engine that runs nothing else."""

    def __init__(self, engine: Engine, sampling: Sampling, forcing: Forcing) -> None:
        self._engine = engine
        self._sampling = replace(sampling, logprobs=0, likelihoods=False)
        self._forcing = forcing
        self._numbers = count()
        self._most_held = 0
        self.cache_tokens: int | None = None
        """That the engine's KV cache holds, as far as is known; it is known best when fullest."""

    # ── what is measured ──────────────────────────────────────────────────────────────────────

    async def pace(self, prompt: Sequence[int], batch: int, tokens: int, k: int = 0) -> PacePoint:
        """The pace of ``batch`` branches on one prompt, while all of them generate.

        Raises:
            CannotMeasure: they do not all run at once, or end too soon.
        """
        streams = await self._run(self._requests(prompt, batch, tokens), watch_cache=True)
        begins = max(s.times[0] for s in streams)
        ends = min(s.times[-1] for s in streams)
        gained = [s.tokens_at(ends) - s.tokens_at(begins) for s in streams]
        mean = sum(gained) / batch
        if mean < _MIN_TOKENS or ends <= begins:
            raise CannotMeasure(
                f"{batch} branches ran together for {max(0.0, mean):.0f} tokens only"
            )
        position = sum((s.tokens_at(ends) + s.tokens_at(begins)) / 2 for s in streams) / batch
        return PacePoint(
            batch,
            len(prompt) + position,
            position,
            (ends - begins) / mean,
            mean,
            _steps(streams, begins, ends, k),
        )

    async def launch(self, prompt: Sequence[int], batch: int) -> LaunchPoint:
        """The launch of ``batch`` branches on a prompt that the engine has not seen."""
        began = anyio.current_time()
        streams = await self._run(self._requests(prompt, batch, 1))
        return LaunchPoint(batch, len(prompt), max(s.times[0] for s in streams) - began)

    async def abort(self, prompt: Sequence[int], batch: int) -> AbortPoint:
        """Aborting ``batch`` running branches, and how long they are in the way of the next."""
        probe = self._requests(prompt, 1, 1)
        idle = await self._seconds_of(probe)
        told = 0.0

        async def abort(streams: Sequence[_Stream]) -> float:
            nonlocal told
            began = anyio.current_time()
            await self._engine.abort([s.generation.request_id for s in streams])
            told = anyio.current_time() - began
            await self._run(self._requests(prompt, 1, 1))
            return anyio.current_time() - began

        busy = await self._while_running(self._requests(prompt, batch, 10_000), abort)
        return AbortPoint(batch, told, max(0.0, busy - idle))

    async def forced(self, prompt: Sequence[int], batch: int) -> ForcedPoint:
        """A round of forced answers: all branches aborted, and all continued."""

        async def force(streams: Sequence[_Stream]) -> float:
            began = anyio.current_time()
            await self._engine.abort([s.generation.request_id for s in streams])
            requests = [
                Generation(
                    request_id=f"profile-{next(self._numbers)}",
                    prompt=(*s.generation.prompt, *s.ids, *self._forcing.suffix_ids),
                    max_tokens=self._forcing.max_tokens,
                    sampling=replace(self._sampling, stop=("}", *self._forcing.stop)),
                    seed=number,
                    branch=s.generation.branch,
                    forced=True,
                )
                for number, s in enumerate(streams)
            ]
            await self._run(requests)
            return anyio.current_time() - began

        seconds = await self._while_running(self._requests(prompt, batch, 10_000), force)
        return ForcedPoint(batch, seconds)

    async def acceptance(
        self, prompt: Sequence[int], k: int, tokens: int
    ) -> tuple[list[AcceptanceCount], int]:
        """Steps and their tokens along branches that run to their ends, by position; and the
        tokens of the longest branch."""
        batch = min(_COUNTED_BATCH, self._engine.info.max_branches)
        streams = await self._run(self._requests(prompt, batch, tokens))
        counted: dict[int, list[int]] = {}
        for stream in streams:
            # The first chunk comes with the prompt and the last may be cut by the end.
            for before, after in zip(stream.counts, stream.counts[1:-1], strict=False):
                if after - before <= k + 1:  # more: two steps in one chunk
                    sums = counted.setdefault(before // _POSITIONS * _POSITIONS, [0, 0])
                    sums[0] += 1
                    sums[1] += after - before
        counts = [AcceptanceCount(k, at, *sums) for at, sums in sorted(counted.items())]
        return counts, max(len(s.ids) for s in streams)

    async def race(self, prompt: Sequence[int], batch: int, tokens: int) -> None:
        """Run branches to their ends, and measure nothing.

        Raises:
            CannotMeasure: one of them gave no token.
            EngineError: one of them was lost.
        """
        await self._run(self._requests(prompt, batch, tokens))

    # ── how ───────────────────────────────────────────────────────────────────────────────────

    def _requests(self, prompt: Sequence[int], batch: int, tokens: int) -> list[Generation]:
        room = self._engine.info.max_context_tokens - len(prompt)
        room -= len(self._forcing.suffix_ids) + self._forcing.max_tokens
        made: list[Generation] = []
        for branch in range(batch):
            number = next(self._numbers)
            made.append(
                Generation(
                    request_id=f"profile-{number}",
                    prompt=tuple(prompt),
                    max_tokens=max(1, min(tokens, room)),
                    sampling=self._sampling,
                    seed=number,
                    branch=branch,
                )
            )
        return made

    async def _run(
        self, requests: Sequence[Generation], *, watch_cache: bool = False
    ) -> list[_Stream]:
        """Run requests to their ends.

        Raises:
            CannotMeasure: one of them gave no token.
            EngineError: one of them was lost.
        """
        streams = [_Stream(request) for request in requests]
        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(self._read, stream, None, streams if watch_cache else ())
        _raise_lost(streams)
        if any(not stream.times for stream in streams):
            raise CannotMeasure("a branch ended without a token")
        return streams

    async def _seconds_of(self, requests: Sequence[Generation]) -> float:
        began = anyio.current_time()
        await self._run(requests)
        return anyio.current_time() - began

    async def _while_running(self, requests: Sequence[Generation], act: _Act) -> float:
        """What ``act`` returns, called when all requests have generated a few tokens.

        Raises:
            CannotMeasure: one of them ended before.
            EngineError: one of them was lost.
        """
        streams = [_Stream(request) for request in requests]
        ready = anyio.Event()
        taken: float | Exception | None = None

        async def read(stream: _Stream) -> None:
            await self._read(stream, ready, streams)

        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(read, stream)
            await ready.wait()
            if all(s.finish is None and s.lost is None for s in streams):
                # Raised in here it would arrive inside an ExceptionGroup.
                try:
                    taken = await act(streams)
                except (CannotMeasure, EngineError) as error:
                    taken = error
            with anyio.CancelScope(shield=True), suppress(EngineError):
                await self._engine.abort([s.generation.request_id for s in streams])
            tasks.cancel_scope.cancel()
        _raise_lost(streams)
        if isinstance(taken, Exception):
            raise taken
        if taken is None:
            raise CannotMeasure(f"of {len(streams)} branches some ended at once")
        return taken

    async def _read(
        self,
        stream: _Stream,
        ready: anyio.Event | None = None,
        others: Sequence[_Stream] = (),
    ) -> None:
        try:
            async with aclosing(self._engine.generate(stream.generation)) as chunks:
                async for chunk in chunks:
                    stream.took(chunk, anyio.current_time())
                    if (
                        ready is None
                        and others
                        and stream is others[0]
                        and len(stream.ids) % 8 == 0
                    ):
                        self._see_cache(others)
                    if ready is not None and all(len(s.ids) >= _RUN_UP for s in others):
                        ready.set()
        except EngineError as error:
            stream.lost = error
        if ready is not None:
            ready.set()

    def _see_cache(self, streams: Sequence[_Stream]) -> None:
        """Work out what the KV cache holds from what is in it: the whole blocks of the prompt,
        once, and those that each branch has begun."""
        usage, block = self._engine.load().cache_usage, self._engine.info.cache_block_tokens
        prompt = len(streams[0].generation.prompt)
        shared = prompt // block
        begun = sum(-(-(prompt + len(s.ids)) // block) - shared for s in streams)
        held = (shared + begun) * block
        if usage > 0 and held > self._most_held:
            self._most_held = held
            self.cache_tokens = round(held / usage)


def _steps(streams: Sequence[_Stream], begins: float, ends: float, k: int) -> float | None:
    """Steps between two moments: the chunks of a branch, unless some came joined."""
    steps = 0
    for stream in streams:
        before = 0
        for time, counted in zip(stream.times, stream.counts, strict=True):
            if begins < time <= ends:
                if counted - before > k + 1:
                    return None
                steps += 1
            before = counted
    return steps / len(streams)


def _raise_lost(streams: Sequence[_Stream]) -> None:
    for stream in streams:
        if stream.lost is not None:
            raise stream.lost
