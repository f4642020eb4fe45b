"""HTTP byte by byte, for what no client library would send."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web
from anyio.abc import SocketStream

from frontrunner.runtime.serving.http_server import Runner

#: Seconds that nothing here takes unless it hangs.
HANGS = 120.0


@asynccontextmanager
async def listening(
    app: web.Application, *, header_timeout: float = 10.0, idle_timeout: float = 75.0
) -> AsyncGenerator[int, None]:
    """Serve ``app``; gives the port."""
    runner = Runner(
        app, header_timeout=header_timeout, idle_timeout=idle_timeout, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def until_closed(stream: SocketStream) -> bytes:
    """What comes until the server closes."""
    received = bytearray()
    with anyio.fail_after(HANGS):
        try:
            while True:
                received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return bytes(received)


async def until_said(stream: SocketStream, what: bytes) -> bytes:
    """What comes until ``what`` has."""
    received = bytearray()
    with anyio.fail_after(HANGS):
        while what not in received:
            received += await stream.receive()
    return bytes(received)


async def exchange(port: int, request: bytes) -> bytes:
    """All that the server says to one connection's bytes."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request)
        return await until_closed(stream)


def status_of(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def head(line: str, *headers: str | bytes) -> bytes:
    """A request's head."""
    lines = [h if isinstance(h, bytes) else h.encode() for h in ("Host: server", *headers)]
    return b"\r\n".join([f"{line} HTTP/1.1".encode(), *lines, b"", b""])


def upgrade(path: str, *headers: str | bytes) -> bytes:
    """A websocket's opening handshake."""
    return head(
        f"GET {path}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    )
