"""Endpoints that say much and mean nothing: their requests end, others have their turn of the event
loop between any two pieces, and no more is kept than a bound."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

from frontrunner.runtime.engines.breaker import Breaker
from frontrunner.runtime.engines.openai import completion_stream
from frontrunner.runtime.engines.openai.completion_stream import DeltaStream, Heard
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.engines.protocol import Generation, Sampling
from frontrunner.runtime.errors import EngineError

from ...backends import until
from .fake_endpoint import endpoint, engine_on

pytestmark = [
    pytest.mark.slow,  # it waits in real time
    pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True),
]

HANGS = 60.0  # seconds after which something that is bounded counts as endless
REQUEST = Generation("r", (1, 2, 3), 100, Sampling())
NOTHING = {
    "blank lines": b"\n" * 64,
    "comments": b": ping\n\n",
    "no choices": b'data: {"choices": []}\n\n',
    "empty text": b'data: {"choices": [{"text": "", "token_ids": []}]}\n\n',
    "other fields": b"event: x\nid: 7\n\n",
}
TEXT = b'data: {"choices": [{"text": "%s", "token_ids": [7]}]}\n\n'


@dataclass
class Content:
    """What an endless body is read from: as if all of it had arrived already."""

    data: bytes
    turns: Callable[[], int]
    reads: int = 0
    bytes_read: int = 0
    most: int = 0
    without_turn: int = 0  # reads in a row between which the event loop had no turn
    _last: tuple[int, int] = (-1, 0)

    async def read(self, size: int) -> bytes:
        at = self.bytes_read % len(self.data)
        part = (self.data * (size // len(self.data) + 2))[at : at + size]
        turn, same = self._last
        now = self.turns()
        self._last = (now, same + 1 if now == turn else 0)
        self.without_turn = max(self.without_turn, self._last[1])
        self.reads += 1
        self.bytes_read += len(part)
        self.most = max(self.most, len(part))
        return part


@dataclass
class Response:
    content: Content


@dataclass
class Clock:
    """Counts turns of the event loop."""

    turns: int = 0
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        while not self.ended.is_set():
            self.turns += 1
            await anyio.lowlevel.checkpoint()


def stream_of(content: Content) -> DeltaStream:
    heard = Heard(lambda seconds, tokens: None, Breaker(), lambda said: said)
    return DeltaStream(Response(content), REQUEST, heard, token_ids=True)  # type: ignore[arg-type]


async def measured(data: bytes, act: Callable[[DeltaStream], Awaitable[None]]) -> Content:
    clock = Clock()
    content = Content(data, lambda: clock.turns)
    with anyio.fail_after(HANGS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.run)
            await act(stream_of(content))
            clock.ended.set()
    return content


@pytest.mark.parametrize("name", NOTHING)
async def test_a_stream_without_text_is_read_in_turns_and_not_for_ever(name: str) -> None:
    async def act(stream: DeltaStream) -> None:
        with pytest.raises(EngineError, match="without any text"):
            await stream.next()

    content = await measured(NOTHING[name], act)
    assert content.without_turn == 0
    assert content.most <= completion_stream._READ_BYTES
    assert content.bytes_read <= completion_stream._MAX_SILENT + 2 * completion_stream._READ_BYTES


async def test_text_without_end_is_not_kept() -> None:
    kept = 0

    async def act(stream: DeltaStream) -> None:
        nonlocal kept
        try:
            while True:
                kept += len((await stream.next()).text)
        except EngineError as error:
            assert "more text" in str(error)  # noqa: PT017 - it ends the loop

    content = await measured(TEXT % (b"x" * 60_000), act)
    most = completion_stream._TEXT_ROOM + completion_stream._CHARS_PER_TOKEN * REQUEST.max_tokens
    assert kept <= most
    assert content.bytes_read <= most + 200_000


async def test_what_follows_the_text_is_not_waited_for() -> None:
    content = await measured(b": more\n\n", DeltaStream.drain)
    assert content.reads <= completion_stream._LAST_READS
    assert content.without_turn == 0


async def read(engine: OpenAIEngine, request: Generation) -> int:
    count = 0
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            count += len(chunk.token_ids)
    return count


def floods(data: bytes) -> Any:
    async def fault(request: web.Request, response: Any) -> Any:
        if response is not None:
            try:
                while True:
                    await response.write(data)
                    await anyio.lowlevel.checkpoint()
            except ConnectionError:
                pass
        return response

    return fault


@pytest.mark.parametrize("name", [*NOTHING, "one byte after another"])
async def test_on_a_socket_it_is_lost_and_others_go_on(name: str) -> None:
    async with endpoint(length=lambda prompt: 50) as fake, engine_on(fake) as engine:
        flood = floods(NOTHING.get(name, b"\n"))
        fake.fault = lambda body, number: flood if body["max_tokens"] == 40 else None
        failures: list[str] = []

        async def flooded(number: int) -> None:
            try:
                await read(engine, Generation(f"f{number}", (1, 2), 40, Sampling()))
            except EngineError as error:
                failures.append(str(error))

        with anyio.fail_after(HANGS):
            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(flooded, number)
                assert await read(engine, Generation("good", (1, 2), 45, Sampling())) == 45
                if name == "one byte after another":  # 2**18 of them take too long to wait for
                    tasks.cancel_scope.cancel()
        assert name == "one byte after another" or len(failures) == 4
        await until(lambda: fake.running == 0)


async def test_nothing_is_tried_again_after_the_race() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:

        async def busy(request: web.Request, response: Any) -> web.StreamResponse:
            return web.Response(status=503, text="busy")

        fake.fault = lambda body, number: busy
        before = len(fake.bodies("/v1/completions"))
        over = Generation("r", (1, 2), 4, Sampling(), deadline=anyio.current_time() + 0.01)
        with pytest.raises(EngineError, match="503"):
            await read(engine, over)
        assert len(fake.bodies("/v1/completions")) == before + 1


async def fails(engine: OpenAIEngine, name: str) -> str:
    """What a request is told whose race is over: it does not wait."""
    request = Generation(name, (1, 2), 4, Sampling(), deadline=anyio.current_time())
    with pytest.raises(EngineError) as caught:
        await read(engine, request)
    return str(caught.value)


async def test_an_endpoint_that_fails_is_left_alone_until_it_has_proved_itself() -> None:
    async with endpoint(length=lambda prompt: 3) as fake, engine_on(fake) as engine:

        async def broken(request: web.Request, response: Any) -> web.StreamResponse:
            return web.Response(status=500, text="broken")

        fake.fault = lambda body, number: broken
        for number in range(3):
            assert engine.failure is None
            assert "500" in await fails(engine, f"r{number}")
        asked = len(fake.asked)
        assert engine.failure is not None
        assert "left alone" in await fails(engine, "r3")
        assert len(fake.asked) == asked
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.run_beside)
            await until(lambda: len(fake.asked) > asked)
            assert engine.failure is not None  # it was tried in vain
            fake.fault = lambda body, number: None
            await until(lambda: engine.failure is None)
            tasks.cancel_scope.cancel()
        assert await read(engine, Generation("after", (1, 2), 4, Sampling())) == 3


async def test_no_error_names_the_host() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        await fake.stop()
        said = await fails(engine, "r")
        assert "not reached" in said
        assert "127.0.0.1" not in said


async def test_a_race_is_named_to_the_router() -> None:
    async with endpoint(length=lambda prompt: 3) as fake:
        async with engine_on(fake) as engine:
            await read(engine, Generation("q-b0", (1, 2), 4, Sampling(), race="q"))
            assert fake.headers[-1]["x-session-id"] == "q"
        async with engine_on(fake, session_header="X-Own") as engine:
            await read(engine, Generation("q-b0", (1, 2), 4, Sampling(), race="q"))
            assert fake.headers[-1]["X-Own"] == "q"
        async with engine_on(fake, session_header="") as engine:
            await read(engine, Generation("q-b0", (1, 2), 4, Sampling(), race="q"))
            assert "x-session-id" not in fake.headers[-1]
