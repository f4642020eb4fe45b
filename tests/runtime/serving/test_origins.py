"""Which pages may use the server."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import orjson
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.serving.security.api_keys import Keys, key_middleware
from frontrunner.runtime.serving.security.cors import Origins, cors_headers, origin_middleware

from .raw_http import exchange, head, listening, status_of, upgrade

PAGE = "https://chat.example.org"
FOREIGN = "https://evil.example.com"
OWN = "http://server"  # what ``sockets.head`` calls the server


# ── what an origin is ─────────────────────────────────────────────────────────────────────────

schemes = st.sampled_from(["http", "https"])
hosts = st.sampled_from(["a.example", "A.example", "b.example", "127.0.0.1", "[::1]", "localhost"])
ports = st.sampled_from([None, 80, 443, 8000])


def spelt(scheme: str, host: str, port: int | None) -> str:
    return f"{scheme}://{host}" + (f":{port}" if port else "")


def meant(scheme: str, host: str, port: int | None) -> tuple[str, str, int]:
    return scheme, host.lower(), port or {"http": 80, "https": 443}[scheme]


places = st.tuples(schemes, hosts, ports)


@settings(max_examples=examples(500))
@given(st.lists(places, max_size=4), places)
def test_an_origin_is_listed_however_it_is_spelt(
    listed: list[tuple[str, str, int | None]], asked: tuple[str, str, int | None]
) -> None:
    origins = Origins(spelt(*place) for place in listed)
    expected = meant(*asked) in [meant(*place) for place in listed]
    assert origins.lists(spelt(*asked)) == expected


@settings(max_examples=examples(500))
@given(places, hosts, ports)
def test_the_servers_own_pages_are_those_of_its_host_and_port(
    page: tuple[str, str, int | None], host: str, port: int | None
) -> None:
    expected = meant(*page)[1:] == meant(page[0], host, port)[1:]
    here = spelt("", host, port).removeprefix("://")
    assert Origins().is_own(spelt(*page), here) == expected
    local = host in ("127.0.0.1", "[::1]", "localhost")
    assert Origins(loopback_only=True).is_own(spelt(*page), here) == (expected and local)


@given(st.text(max_size=30))
def test_no_text_is_taken_for_the_server_or_breaks_it(text: str) -> None:
    origins = Origins([PAGE])
    assert not origins.lists(text)
    if origins.is_own(text, "server"):
        assert text.lower().partition("//")[2].startswith("server")


@pytest.mark.parametrize("bad", ["", "example.org", "null", "https://", "https://a/b", "//x"])
def test_a_list_of_something_else_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        Origins([bad])


# ── over sockets ──────────────────────────────────────────────────────────────────────────────

Serve = Callable[..., AbstractAsyncContextManager[int]]


@pytest.fixture
def reached() -> list[str]:
    """The methods of the requests that reached a handler."""
    return []


@pytest.fixture
def serve(reached: list[str]) -> Serve:
    @asynccontextmanager
    async def serving(
        *allowed: str, keys: Keys | None = None, loopback_only: bool = False
    ) -> AsyncGenerator[int, None]:
        async def plain(request: web.Request) -> web.Response:
            reached.append(request.method)
            return web.Response(text="said")

        async def stream(request: web.Request) -> web.StreamResponse:
            reached.append("stream")
            response = web.StreamResponse(headers={"Vary": "Accept"})
            await response.prepare(request)
            await response.write(b"said")
            return response

        async def socket(request: web.Request) -> web.WebSocketResponse:
            reached.append("socket")
            response = web.WebSocketResponse()
            await response.prepare(request)
            await response.close()
            return response

        origins = Origins(allowed, loopback_only=loopback_only)
        middlewares = [origin_middleware(origins), key_middleware(keys or Keys())]
        app = web.Application(middlewares=middlewares)
        app.on_response_prepare.append(cors_headers(origins))
        app.router.add_get("/", plain)
        app.router.add_post("/", plain)
        app.router.add_get("/stream", stream)
        app.router.add_get("/socket", socket)
        async with listening(app) as port:
            yield port

    return serving


async def ask(port: int, line: str, *headers: str) -> tuple[int, str]:
    reply = await exchange(port, head(line, *headers, "Connection: close"))
    return status_of(reply), reply.decode().lower()


async def test_without_an_origin_nothing_is_asked_or_said(serve: Serve, reached: list[str]) -> None:
    async with serve(PAGE) as port:
        for method in ("GET", "POST"):
            status, reply = await ask(port, f"{method} /")
            assert status == 200
            assert "access-control" not in reply
    assert reached == ["GET", "POST"]


@pytest.mark.parametrize("allowed", [PAGE, "*"])
@pytest.mark.parametrize("line", ["GET /", "POST /", "GET /stream", "GET /unknown"])
async def test_a_listed_page_may_ask_and_read(serve: Serve, allowed: str, line: str) -> None:
    async with serve(allowed) as port:
        status, reply = await ask(port, line, f"Origin: {PAGE}")
    assert status == (404 if "unknown" in line else 200)
    assert f"access-control-allow-origin: {PAGE}\r\n" in reply
    assert "vary: origin\r\n" in reply


async def test_a_refusal_for_the_key_can_be_read_by_a_listed_page(serve: Serve) -> None:
    async with serve(PAGE, keys=Keys([("a", "sk-a")])) as port:
        status, reply = await ask(port, "POST /", f"Origin: {PAGE}")
    assert status == 401
    assert f"access-control-allow-origin: {PAGE}\r\n" in reply


async def test_a_preflight_needs_no_key(serve: Serve, reached: list[str]) -> None:
    async with serve(PAGE, keys=Keys([("a", "sk-a")])) as port:
        status, reply = await ask(
            port,
            "OPTIONS /",
            f"Origin: {PAGE}",
            "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: authorization, content-type",
        )
    assert status == 204
    assert f"access-control-allow-origin: {PAGE}\r\n" in reply
    assert "access-control-allow-headers: authorization, content-type\r\n" in reply
    assert "post" in reply.partition("access-control-allow-methods:")[2].partition("\r\n")[0]
    assert reached == []


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", "", "http://server:81", "garbage", f"{PAGE}.evil"]
)
async def test_a_foreign_page_may_not_do_anything_nor_read(
    serve: Serve, reached: list[str], origin: str
) -> None:
    async with serve(PAGE) as port:
        status, reply = await ask(port, "POST /", f"Origin: {origin}", "Content-Length: 0")
        assert status == 403
        error = orjson.loads(reply.partition("\r\n\r\n")[2])["error"]
        assert error["type"] == "permission_error"
        status, reply = await ask(
            port, "OPTIONS /", f"Origin: {origin}", "Access-Control-Request-Method: POST"
        )
        assert status == 403
        assert "access-control" not in reply
        assert reached == []
        status, reply = await ask(port, "GET /", f"Origin: {origin}")
        assert status == 200
        assert "access-control" not in reply  # its browser does not let it read this


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(None, True), (OWN, True), (PAGE, True), (FOREIGN, False), ("null", False)],
)
async def test_a_websocket_of_a_foreign_page_is_refused_before_its_upgrade(
    serve: Serve, reached: list[str], origin: str | None, allowed: bool
) -> None:
    headers = [f"Origin: {origin}"] if origin is not None else []
    close_frame = bytes([0x88, 0x80, 1, 2, 3, 4])
    after = close_frame if allowed else head("GET /", "Connection: close")
    async with serve(PAGE) as port:
        reply = await exchange(port, upgrade("/socket", *headers) + after)
    assert status_of(reply) == (101 if allowed else 403)
    assert ("socket" in reached) == allowed


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1:9", 200), ("localhost:9", 200), ("rebound.example:9", 403)]
)
async def test_a_name_made_to_lead_here_is_not_the_server(
    serve: Serve, host: str, status: int
) -> None:
    lines = ["POST / HTTP/1.1", f"Host: {host}", f"Origin: http://{host}", "Connection: close"]
    request = "\r\n".join([*lines, "", ""])
    async with serve(loopback_only=True) as port:
        assert status_of(await exchange(port, request.encode())) == status
