"""Scripted replicas that write their position, and can be stopped, slowed and killed; a pool of
them whose members are looked after."""

import dataclasses
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import anyio

from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.engines.protocol import (
    Chunk,
    Engine,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    Sampling,
    TokenSink,
)
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import EngineError

PROMPT = (1, 2, 3)


class Replica(ScriptedEngine):
    """Its token after seven others is ``w7``, whatever wrote these; an answer has ``length``."""

    def __init__(self, *, delay: float = 0.01, length: int = 40, slots: int = 8) -> None:
        super().__init__(Script([]), max_branches=slots)
        self.delay = delay  # seconds a token
        self.length = length
        self.slowness = 1.0
        self._going = anyio.Event()
        self._going.set()
        self.script.chooser = self._choose

    def _choose(self, request: Generation) -> BranchScript:
        at = len(request.prompt)
        end = len(PROMPT) + self.length
        return BranchScript(tuple(Piece(self.delay, f"w{n} ") for n in range(at, max(end, at + 1))))

    def stop(self) -> None:
        """As SIGSTOP does: it neither writes nor hears."""
        self._going = anyio.Event()

    def go_on(self) -> None:
        self._going.set()

    @property
    def live(self) -> int:
        return self.load().running

    async def _wait(self, seconds: float, live: object, script: BranchScript) -> bool:
        runs = await super()._wait(seconds * self.slowness, live, script)  # type: ignore[arg-type]
        await self._going.wait()
        return runs

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        finish: FinishReason | None = None
        async with aclosing(self.generate(request)) as chunks:
            async for chunk in chunks:
                sink.put(chunk.text, chunk.token_ids, chunk.confidences)
                finish = chunk.finish
        assert finish is not None
        return finish

    async def abort(self, request_ids: object) -> None:
        await self._going.wait()
        await super().abort(request_ids)  # type: ignore[arg-type]


@dataclass
class Said:
    """What came of a request."""

    words: list[str] = field(default_factory=list[str])
    tokens: int = 0
    finish: FinishReason | None = None
    error: str | None = None

    def take(self, chunk: Chunk) -> None:
        self.words += chunk.text.split()
        self.tokens += len(chunk.token_ids)
        self.finish = chunk.finish

    immediate = False
    catch_up: Callable[[], None] | None = None

    def put(self, text: str, token_ids: Sequence[int], confidences: Sequence[float] = ()) -> None:
        """As a ``TokenSink``."""
        self.take(Chunk(text, tuple(token_ids)))

    def put_all(
        self,
        texts: Sequence[str],
        token_ids: Sequence[Sequence[int]],
        confidences: Sequence[float] = (),
    ) -> None:
        """As a ``TokenSink``."""
        for text, ids in zip(texts, token_ids, strict=True):
            self.put(text, ids)

    @property
    def without_gap(self) -> bool:
        """Whether each token is the one after the last."""
        start = len(PROMPT)
        return self.words == [f"w{n}" for n in range(start, start + len(self.words))]


def ask(race: str, branch: int, *, max_tokens: int = 100, deadline: float = 1e9) -> Generation:
    return Generation(
        f"{race}-b{branch}",
        PROMPT,
        max_tokens,
        Sampling(),
        seed=branch,
        branch=branch,
        race=race,
        deadline=deadline,
    )


class Reading:
    """How pools are read."""

    by_calls = False


async def read(pool: Engine, request: Generation, said: Said) -> None:
    try:
        if Reading.by_calls:
            assert isinstance(pool, PoolEngine)
            said.finish = await pool.feed(request, said)
            return
        async with aclosing(pool.generate(request)) as chunks:
            async for chunk in chunks:
                said.take(chunk)
    except Exception as error:  # noqa: BLE001 - looked at by the test
        said.error = f"{type(error).__name__}: {error}"


@asynccontextmanager
async def pool_of(
    engines: Mapping[str, Engine], *, stall_after: float = 2.0, hedge_after: float | None = None
) -> AsyncGenerator[PoolEngine, None]:
    """A started pool whose members are looked after."""
    pool = PoolEngine(engines, stall_after=stall_after, hedge_after=hedge_after)
    await pool.start()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.run_beside)
            yield pool
            tasks.cancel_scope.cancel()
    finally:
        await pool.aclose()


def homes(engines: Mapping[str, Replica], race: str) -> list[str]:
    """The replicas that were asked for anything of a race."""
    return [n for n, e in engines.items() if any(r.race == race for r in e.requests)]


class Router:
    """Several replicas as one engine: a race's name says which of them gets it."""

    def __init__(self, *engines: Replica) -> None:
        self.engines = list(engines)
        self._at: dict[str, Replica] = {}

    @property
    def replicas(self) -> int:
        return len(self.engines)

    @property
    def info(self) -> EngineInfo:
        info = self.engines[0].info
        return dataclasses.replace(info, max_branches=info.max_branches * self.replicas)

    @property
    def failure(self) -> EngineError | None:
        """A router lives on without its servers."""
        return None

    def of(self, race: str) -> Replica:
        return self.engines[crc32(race.encode()) % self.replicas]

    async def start(self) -> None:
        for engine in self.engines:
            await engine.start()

    async def aclose(self) -> None:
        for engine in self.engines:
            engine.go_on()
            await engine.aclose()

    def encode(self, text: str) -> tuple[int, ...]:
        return self.engines[0].encode(text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        return self.engines[0].encode_chat(messages, tools, arguments)

    def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        engine = self._at[request.request_id] = self.of(request.race)
        return engine.generate(request)

    async def abort(self, request_ids: Sequence[str]) -> None:
        for request_id in request_ids:
            if (engine := self._at.get(request_id)) is not None:
                await engine.abort([request_id])

    def load(self) -> EngineLoad:
        return self.engines[0].load()
