"""One ASGI request or websocket, handed on to the server's own socket, and what comes back.

Nothing is held back: each piece is sent on as it comes, and the next one is read when the one
before has been taken, so that the limits of the server on slow clients hold for these, too. When
either side ends, so does the other.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import anyio
import structlog
from anyio.abc import ObjectSendStream
from yarl import URL

from ...errors import EngineError, FrontrunnerError
from ..errors import error_response

Scope = Mapping[str, Any]
AsgiMessage = Mapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
RawHeaders = Iterable[tuple[bytes, bytes]]

_log = structlog.get_logger("frontrunner.serving")

#: What concerns the connection with the ASGI server alone, which has its own.
_HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
#: What the client makes anew for its own handshake.
_HANDSHAKE: Final = frozenset(
    (
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
    )
)
#: What ASGI servers add to responses.
_SERVERS_OWN: Final = frozenset(("date", "server"))
#: Characters of a path that need no escaping.
_SAFE: Final = "/:@!$&'()*+,;=~-._"
#: Seconds for a websocket's closing handshake.
_CLOSING: Final = 1.0
_SOCKET_TIMEOUT: Final = aiohttp.ClientWSTimeout(ws_close=_CLOSING)  # pyright: ignore[reportCallIssue]
#: Close codes that are only ever told, not sent.
_UNSENDABLE: Final = frozenset((1005, 1006, 1015))


class RefusedHandshake(Exception):
    """The server answered a websocket's handshake with a response."""

    def __init__(self, status: int, headers: RawHeaders, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body
        super().__init__(f"the handshake was refused with {status}")


async def read_refusal(response: aiohttp.ClientResponse) -> None:
    """For a session's ``raise_for_status``, which aiohttp calls before it looks at a handshake.

    Raises:
        RefusedHandshake: it was one, and refused.
    """
    headers = response.request_info.headers
    if headers.get("Upgrade", "").lower() == "websocket" and response.status != 101:
        raise RefusedHandshake(response.status, response.raw_headers, await response.read())


async def refuse(scope: Scope, send: Send, error: FrontrunnerError) -> None:
    """Answer a request or a handshake with an error."""
    response = error_response(error)
    assert isinstance(response.body, bytes)
    headers = [(k.lower().encode(), v.encode()) for k, v in response.headers.items()]
    if scope["type"] == "websocket":
        await _deny(scope, send, response.status, headers, response.body)
    else:
        await _start(send, response.status, headers)
        await _body(send, response.body)


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────


async def relay_request(
    session: aiohttp.ClientSession, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a request. When the client leaves, the connection to the server is closed, and with it
    the race is cancelled, unless it was to go on."""
    message = await receive()
    if message["type"] != "http.request":
        return
    first: bytes = message.get("body", b"")
    body: bytes | AsyncIterator[bytes] = first
    async with anyio.create_task_group() as tasks:
        sink, source = anyio.create_memory_object_stream[bytes](0)
        with sink, source:
            if message.get("more_body"):
                body = _chunks(first, source)
            else:
                sink.close()
            tasks.start_soon(_watch, receive, sink, tasks.cancel_scope)
            await _relay_response(session, scope, body, send)
            tasks.cancel_scope.cancel()


async def _chunks(first: bytes, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in source:
        yield chunk


async def _watch(receive: Receive, sink: ObjectSendStream[bytes], scope: anyio.CancelScope) -> None:
    """Hand on the rest of the body, then wait for the client to leave."""
    while (message := await receive())["type"] == "http.request":
        try:
            await sink.send(message.get("body", b""))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            continue  # the server has answered without it
        if not message.get("more_body"):
            await sink.aclose()
    scope.cancel()


async def _relay_response(
    session: aiohttp.ClientSession, scope: Scope, body: bytes | AsyncIterator[bytes], send: Send
) -> None:
    started = False
    try:
        async with session.request(
            scope["method"],
            target(scope),
            headers=_request_headers(scope, _HOP_BY_HOP),
            data=body or None,
            allow_redirects=False,
            raise_for_status=False,
        ) as response:
            started = True
            await _start(send, response.status, response.raw_headers)
            async for chunk in response.content.iter_any():
                await _body(send, chunk, more=True)
            await _body(send, b"")
    except (aiohttp.ClientError, OSError) as error:
        # Either side is gone. What has begun cannot be called off but by leaving it unfinished.
        if not started:
            _log.warning("frontrunner.relay_failed", error=repr(error))
            await refuse(scope, send, EngineError("the server is ending"))


async def _start(send: Send, status: int, headers: RawHeaders, kind: str = "http.response") -> None:
    kept = _passed_on(headers, _HOP_BY_HOP | _SERVERS_OWN)
    await send({"type": f"{kind}.start", "status": status, "headers": kept})


def _passed_on(headers: RawHeaders, left_out: frozenset[str]) -> list[tuple[bytes, bytes]]:
    """The headers of a response as ASGI has them, but those that the ASGI server writes itself."""
    return [
        (name.lower(), value)
        for name, value in headers
        if name.decode("latin-1").lower() not in left_out
    ]


async def _body(
    send: Send, body: bytes, *, more: bool = False, kind: str = "http.response"
) -> None:
    await send({"type": f"{kind}.body", "body": body, "more_body": more})


# ── websockets ────────────────────────────────────────────────────────────────────────────────


async def relay_socket(
    session: aiohttp.ClientSession, scope: Scope, receive: Receive, send: Send
) -> None:
    """Hand on a websocket's messages, either way, until one side closes it."""
    if (await receive())["type"] != "websocket.connect":
        return
    try:
        socket = await session.ws_connect(
            target(scope),
            protocols=tuple(scope.get("subprotocols", ())),
            headers=_request_headers(scope, _HOP_BY_HOP | _HANDSHAKE),
            timeout=_SOCKET_TIMEOUT,
            max_msg_size=0,  # the server's own messages are as long as they are
            autoclose=False,
        )
    except RefusedHandshake as refused:
        await _deny(scope, send, refused.status, refused.headers, refused.body)
        return
    except (aiohttp.ClientError, OSError):
        await refuse(scope, send, EngineError("the server is ending"))
        return
    try:
        # aiohttp has no other way to what the server said with the handshake.
        said = socket._response.raw_headers  # pyright: ignore[reportPrivateUsage]
        headers = _passed_on(said, _HOP_BY_HOP | _HANDSHAKE | _SERVERS_OWN)
        await send({"type": "websocket.accept", "subprotocol": socket.protocol, "headers": headers})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_to_server, socket, receive, tasks.cancel_scope)
            await _to_client(socket, send)
            tasks.cancel_scope.cancel()
    except OSError:
        pass  # the client is gone
    finally:
        with anyio.move_on_after(_CLOSING, shield=True):
            await socket.close()


async def _to_client(socket: aiohttp.ClientWebSocketResponse, send: Send) -> None:
    while True:
        message = await socket.receive()
        try:
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    await send({"type": "websocket.send", "text": message.data})
                case aiohttp.WSMsgType.BINARY:
                    await send({"type": "websocket.send", "bytes": message.data})
                case aiohttp.WSMsgType.CLOSE:
                    code, reason = sendable(message.data), message.extra or ""
                    await send({"type": "websocket.close", "code": code, "reason": reason})
                    return
                case _:  # the connection broke
                    await send({"type": "websocket.close", "code": 1011, "reason": ""})
                    return
        except OSError:
            return  # the client is gone


async def _to_server(
    socket: aiohttp.ClientWebSocketResponse, receive: Receive, scope: anyio.CancelScope
) -> None:
    try:
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is not None:
                await socket.send_str(text)
            else:
                await socket.send_bytes(message.get("bytes") or b"")
        await socket.close(code=sendable(message.get("code")))
    except (aiohttp.ClientError, OSError):
        return  # what was received last says why
    scope.cancel()


def sendable(code: int | None) -> int:
    """A close code as it may be sent; "going away" for one that only says that none came."""
    if code is None or code < 1000 or code in _UNSENDABLE:
        return 1001
    return code


async def _deny(scope: Scope, send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": ""})  # answered with 403
        return
    await _start(send, status, headers, "websocket.http.response")
    await _body(send, body, kind="websocket.http.response")


# ── what is asked ─────────────────────────────────────────────────────────────────────────────


def route(scope: Scope) -> str:
    """The path below the place where the application is mounted, escaped; empty: that place
    itself, without a slash."""
    path, root = scope["path"], (scope.get("root_path") or "").rstrip("/")
    raw: bytes | None = scope.get("raw_path")
    escaped = raw.decode("latin-1").partition("?")[0] if raw else quote(path, safe=_SAFE)
    if not root:
        return escaped
    # Servers and frameworks do not agree on whether the path still has the place before it.
    if path != root and not path.startswith(f"{root}/"):
        return escaped
    prefix = quote(root, safe=_SAFE)
    if escaped == prefix or escaped.startswith(f"{prefix}/"):
        return escaped[len(prefix) :]
    return quote(path[len(root) :], safe=_SAFE)


def target(scope: Scope) -> URL:
    """What to ask of the server."""
    query = (scope.get("query_string") or b"").decode("latin-1")
    return URL(
        f"http://frontrunner{route(scope) or '/'}{'?' if query else ''}{query}", encoded=True
    )


def _request_headers(scope: Scope, left_out: frozenset[str]) -> list[tuple[str, str]]:
    headers = [
        (name.decode("latin-1"), value.decode("utf-8", "replace"))
        for name, value in scope["headers"]
    ]
    return [(name, value) for name, value in headers if name.lower() not in left_out]
