"""Clients that go away, and clients that stop reading."""

import random
import socket
import struct
from typing import Any

import anyio
import orjson
import pytest
from anyio.abc import SocketStream
from tests.backends import until, virtual_asyncio

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.serving.runs.run import RUNS

from .conftest import ENDLESS, Serve, Served

pytestmark = pytest.mark.slow  # it waits in real time


async def ask(served: Served, path: str = "chat/completions", **body: Any) -> SocketStream:
    """Send a request on a connection of its own."""
    stream = await anyio.connect_tcp("127.0.0.1", served.port)
    asked = {"messages": [{"role": "user", "content": "q"}], "prompt": "q", **body}
    content = orjson.dumps(asked)
    head = (
        f"POST /v1/{path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    await stream.send(head.encode() + content)
    return stream


def reset(stream: SocketStream) -> None:
    """Close it with RST, as a process that dies may."""
    raw: socket.socket = stream.extra(anyio.abc.SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("hard", [True, False])
async def test_a_client_that_goes_away_ends_its_race(
    serve: Serve, path: str, streams: bool, hard: bool
) -> None:
    async with serve(ENDLESS) as served:
        client = await ask(served, path, stream=streams)
        await until(lambda: served.engine.load().running == 16)
        if hard:
            reset(client)
        await client.aclose()
        await served.idle()
        await until(lambda: served.app[RUNS].running == 0)


async def test_a_race_that_is_to_go_on_does(serve: Serve) -> None:
    async with serve(BranchScript.answering("42", seconds=0.2)) as served:
        extra = {"on_disconnect": "continue", "branches": 2}
        client = await ask(served, stream=True, frontrunner=extra)
        await until(lambda: served.engine.load().running == 2)
        await client.aclose()
        (run,) = served.app[RUNS]._runs.values()
        assert (await run.result()).answer == "42"
        with run.frames() as frames:
            *_, (_, last) = [item async for item in frames]
            assert last.terminal


async def test_clients_that_leave_at_any_moment_leave_nothing(serve: Serve) -> None:
    rng = random.Random(1)
    async with serve(ENDLESS) as served:

        async def come_and_go() -> None:
            client = await ask(served, stream=rng.random() < 0.7, frontrunner={"branches": 2})
            for _ in range(rng.randrange(4)):
                with anyio.move_on_after(0.01):
                    await client.receive(rng.choice([1, 100, 10_000]))
            if rng.random() < 0.5:
                reset(client)
            await client.aclose()

        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(come_and_go)
        await served.idle()
        await until(lambda: served.app[RUNS].running == 0)


async def test_a_client_that_stops_reading_is_cut_off(serve: Serve) -> None:
    loud = BranchScript(tuple(Piece(0.0005, "x" * 20_000) for _ in range(100_000)))
    async with serve(loud, stall_limit=0.2, writer_limit=4096) as served:
        client = await ask(served, stream=True, frontrunner={"branches": 1, "deadline": 60})
        (run,) = await first_run(served)
        await until(lambda: run.done, turns=30_000)
        await served.idle()
        received = await drained(client)
        assert received > 0
        await client.aclose()


async def drained(client: SocketStream) -> int:
    """How many bytes still come until the connection ends."""
    received = 0
    try:
        while True:
            received += len(await client.receive())
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return received


async def first_run(served: Served) -> list[Any]:
    await until(lambda: served.app[RUNS].running == 1)
    return list(served.app[RUNS]._runs.values())


async def test_what_a_slow_reader_costs_is_bounded(serve: Serve) -> None:
    loud = BranchScript(tuple(Piece(0.0005, "x" * 2_000) for _ in range(100_000)))
    async with serve(loud, stall_limit=0.5, writer_limit=4096) as served:
        client = await ask(served, stream=True, frontrunner={"branches": 1, "deadline": 60})
        (run,) = await first_run(served)
        largest = 0
        while not run.done:
            largest = max(largest, run._log._size)
            await anyio.sleep(0.001)
        assert largest <= served.runtime.settings.server.log_bytes + (64 << 10)
        await client.aclose()


@virtual_asyncio
async def test_a_body_that_does_not_come_is_refused(serve: Serve) -> None:
    async with serve(header_timeout=0.1) as served:
        client = await anyio.connect_tcp("127.0.0.1", served.port)
        async with client:
            await client.send(
                b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
            )
            assert (await client.receive()).startswith(b"HTTP/1.1 400")


async def test_a_silent_stream_says_that_it_is_there(serve: Serve) -> None:
    silent = BranchScript(stall=True)
    async with serve(silent, keep_alive=0.05, forced=(silent,)) as served:
        client = await ask(served, stream=True, frontrunner={"deadline": 1})
        got = b""
        while b": keep-alive\n\n" not in got:
            got += await client.receive()
        await client.aclose()
        await served.idle()
