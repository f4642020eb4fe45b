"""How many connections a server holds, and what becomes of one more."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web

from frontrunner.runtime.serving import create_app, http_server
from frontrunner.runtime.serving.http_server import ConnectionSlots, Runner

from .conftest import ENDLESS, Serve
from .raw_http import status_of

ASKED = b'{"messages":[{"role":"user","content":"x"}],"stream":true}'


class _Log:
    """Keeps what is logged."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def warning(self, event: str, **_: object) -> None:
        self._lines.append(event)


class _Idle:
    """What ``ConnectionSlots`` sees of a connection."""

    def __init__(self, *, idle: bool) -> None:
        self.idle, self.closed = idle, False

    def force_close(self) -> None:
        self.closed = True


async def test_one_connection_too_many_takes_the_place_of_an_idle_one_or_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = ConnectionSlots(2)
    busy, idle, late, later = (_Idle(idle=flag) for flag in (False, True, False, False))
    logs = list[str]()
    monkeypatch.setattr(http_server, "_log", _Log(logs))
    assert [places.take(cast(Any, c)) for c in (busy, idle)] == [True, True]
    assert places.take(cast(Any, late))
    assert (busy.closed, idle.closed) == (False, True)
    for _ in range(50):
        assert not places.take(cast(Any, later))
    places.leave(cast(Any, idle))  # which has no place any more
    assert not places.take(cast(Any, later))
    places.leave(cast(Any, busy))
    assert places.take(cast(Any, later))
    # However many there are, they are told once in a while.
    assert logs == ["frontrunner.too_many_connections"]


async def test_connections_over_the_limit_are_told_and_closed(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        server = served.runtime.settings.server
        runner = Runner(
            create_app(served.runtime),
            header_timeout=server.header_timeout,
            idle_timeout=server.idle_timeout,
            max_connections=1,
            access_log=None,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(ASKED)}"
            writer.write(head.encode() + b"\r\n\r\n" + ASKED)
            await reader.readuntil(b"data: ")  # from now on it is busy
            other, closing = await asyncio.open_connection("127.0.0.1", port)
            assert status_of(await other.read()) == 503
            closing.close()
            writer.close()
            await served.idle()
        finally:
            await runner.cleanup()
