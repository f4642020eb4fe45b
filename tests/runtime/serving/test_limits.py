"""Bytes, depth, time to arrive, and races beside it."""

import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import orjson
import pytest
from aiohttp import web
from anyio.abc import SocketStream
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backends import virtual_asyncio
from tests.profiles import examples

from frontrunner.runtime.config import ServerSettings
from frontrunner.runtime.errors import BadRequest, FrontrunnerError
from frontrunner.runtime.serving.errors import TooManyRaces, error_response
from frontrunner.runtime.serving.requests.limits import (
    RaceLimit,
    parse_json,
    parse_request,
    read_body,
)
from frontrunner.runtime.serving.requests.slices import SLICES, Slices

from .raw_http import HANGS, exchange, head, listening, status_of, until_closed, until_said

# ── JSON ──────────────────────────────────────────────────────────────────────────────────────

leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.text('[]{}",\\', max_size=6)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("[{a", max_size=3), inner),
    max_leaves=12,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@settings(max_examples=examples(500))
@given(values, st.integers(1, 6))
def test_json_is_read_up_to_its_depth_and_not_deeper(value: Any, limit: int) -> None:
    data = orjson.dumps(value)
    if depth_of(value) <= limit:
        assert parse_json(data, limit) == value
    else:
        with pytest.raises(BadRequest, match=f"nested deeper than {limit}"):
            parse_json(data, limit)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("levels", [65, 1_024, 100_000])
def test_deep_nesting_is_refused_and_harms_nobody(opening: str, levels: int) -> None:
    closing = "]" if opening == "[" else "}"
    with pytest.raises(BadRequest):
        parse_json(opening * levels + "1" + closing * levels, 64)
    with pytest.raises(BadRequest):
        parse_json(opening * levels, 64)


@settings(max_examples=examples(2_000))
@given(st.binary(max_size=40) | st.text(max_size=40))
def test_what_is_no_json_is_a_bad_request(data: bytes | str) -> None:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        with pytest.raises(BadRequest, match="not valid JSON"):
            parse_json(data, 40)
    else:
        assert parse_json(data, 40) == value


# ── races of a key ────────────────────────────────────────────────────────────────────────────


@settings(max_examples=examples(300))
@given(
    st.one_of(st.none(), st.integers(1, 3)),
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.booleans()), max_size=30),
)
def test_a_key_never_has_more_races_than_it_may(
    limit: int | None, steps: list[tuple[str | None, bool]]
) -> None:
    races, running = RaceLimit(limit), dict[str | None, int]()
    for name, begins in steps:
        before = running.get(name, 0)
        if begins and limit is not None and before >= limit:
            with pytest.raises(TooManyRaces):
                races.take(name)
        elif begins:
            races.take(name)
            running[name] = before + 1
        elif before:
            races.release(name)
            running[name] = before - 1
        assert all(races.running(n) == running.get(n, 0) for n in ("a", "b", None))


def test_a_race_is_given_back_also_when_it_fails() -> None:
    races = RaceLimit(1)
    with pytest.raises(ZeroDivisionError), races.held("a"):
        raise ZeroDivisionError
    with races.held("a"), pytest.raises(TooManyRaces) as caught:
        races.take("a")
    response = error_response(caught.value)
    assert response.status == 429
    assert response.headers["Retry-After"] == "1"
    assert races.running("a") == 0


# ── bodies, over sockets ──────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def reading(**given_settings: Any) -> AsyncGenerator[int, None]:
    """A server that says the length of the list it is sent."""
    server = ServerSettings(**given_settings)

    async def handler(request: web.Request) -> web.Response:
        try:
            data = await read_body(request, server)
            value = await parse_request(data, server.json_depth, app[SLICES])
            return web.json_response(len(value))
        except FrontrunnerError as error:
            return error_response(error)

    # Its own limit would refuse much less.
    app = web.Application(client_max_size=1)
    app[SLICES] = Slices()
    app.router.add_post("/", handler)
    async with listening(app, header_timeout=server.header_timeout) as port:
        yield port


def posted(body: bytes, *headers: str) -> bytes:
    length = f"Content-Length: {len(body)}"
    return head("POST /", length, "Connection: close", *headers) + body


def chunked(body: bytes) -> bytes:
    chunks = [body[i : i + 100] for i in range(0, len(body), 100)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head("POST /", "Transfer-Encoding: chunked", "Connection: close") + framed + b"0\r\n\r\n"


async def test_a_body_may_have_as_many_bytes_as_the_limit_says() -> None:
    body = b"[" + b" " * 998 + b"]"
    async with reading(body_limit=1_000) as port:
        for request in (posted(body), chunked(body)):
            reply = await exchange(port, request)
            assert status_of(reply) == 200
            assert reply.endswith(b"\r\n\r\n0")


async def test_a_larger_body_is_refused() -> None:
    body = b"[" + b" " * 999 + b"]"
    bomb = gzip.compress(b"[" + b" " * 10_000_000 + b"]")
    async with reading(body_limit=1_000 if len(bomb) < 1_000 else len(bomb)) as port:
        assert status_of(await exchange(port, posted(bomb, "Content-Encoding: gzip"))) == 413
    async with reading(body_limit=1_000) as port:
        for request in (posted(body), chunked(body), head("POST /", "Content-Length: 99999999")):
            reply = await exchange(port, request)
            assert status_of(reply) == 413
            error = orjson.loads(reply.partition(b"\r\n\r\n")[2])["error"]
            assert error["code"] == "request_too_large"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_what_it_says_is_a_bad_request(encoding: str) -> None:
    async with reading() as port:
        reply = await exchange(port, posted(b"[1, 2]", f"Content-Encoding: {encoding}"))
    assert status_of(reply) == 400


@virtual_asyncio
async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with reading(header_timeout=0.1) as port:
        reply = await exchange(port, head("POST /", "Content-Length: 50") + b"[1, ")
    assert status_of(reply) == 400  # and the connection was closed
    assert b"did not arrive within 0.1 s" in reply


# ── heads, over sockets ───────────────────────────────────────────────────────────────────────


class Slow:
    """A server with a handler that takes as long as a test wants."""

    def __init__(self) -> None:
        self.entered, self.go_on = anyio.Event(), anyio.Event()

    @asynccontextmanager
    async def serve(self, header_timeout: float = 0.15) -> AsyncGenerator[int, None]:
        async def slow(request: web.Request) -> web.Response:
            self.entered.set()
            await self.go_on.wait()
            return web.Response(text="at last")

        async def quick(request: web.Request) -> web.Response:
            return web.Response(text="quick")

        app = web.Application()
        app.router.add_get("/slow", slow)
        app.router.add_get("/", quick)
        async with listening(app, header_timeout=header_timeout) as port:
            yield port


async def drip(stream: SocketStream) -> None:
    """A head that never ends, a byte at a time; returns when the server has had enough."""
    await stream.send(b"GET / HTTP/1.1\r\nHost: server\r\nX-Long: ")
    async with stream:
        try:
            with anyio.fail_after(HANGS):
                while True:
                    await stream.send(b"a")
                    await anyio.sleep(0.005)
        except anyio.BrokenResourceError:
            pass


@virtual_asyncio
@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: server\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(said: bytes) -> None:
    async with Slow().serve() as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        if said:
            await stream.send(said)
        assert await until_closed(stream) == b""


@virtual_asyncio
async def test_a_head_byte_by_byte_ends_the_connection_and_no_other() -> None:
    slow = Slow()
    async with (
        slow.serve() as port,
        await anyio.connect_tcp("127.0.0.1", port) as busy,
        await anyio.connect_tcp("127.0.0.1", port) as idle,
    ):
        await idle.send(head("GET /"))
        await until_said(idle, b"quick")
        await busy.send(head("GET /slow"))
        await slow.entered.wait()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(drip, await anyio.connect_tcp("127.0.0.1", port))
        # All of these came later and are gone: the time of both connections were up as well, if it
        # ran for the one that is served and the one that rests.
        slow.go_on.set()
        await until_said(busy, b"at last")
        await idle.send(head("GET /"))
        await until_said(idle, b"quick")


@virtual_asyncio
async def test_each_further_head_has_its_time_too() -> None:
    async with Slow().serve() as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(head("GET /"))
        await until_said(stream, b"quick")
        await stream.send(b"GET / HTTP/1.1\r\nHost:")
        assert await until_closed(stream) == b""


@virtual_asyncio
async def test_requests_sent_at_once_are_all_answered() -> None:
    async with Slow().serve(header_timeout=5.0) as port:
        pipelined = head("GET /") * 5 + head("GET /", "Connection: close")
        reply = await exchange(port, pipelined)
    assert reply.count(b"quick") == 6


@virtual_asyncio
async def test_an_idle_connection_is_closed_after_the_idle_time() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="quick")

    app = web.Application()
    app.router.add_get("/", handler)
    async with listening(app, header_timeout=10.0, idle_timeout=0.1) as port:
        reply = await exchange(port, head("GET /"))
    assert reply.endswith(b"quick")
