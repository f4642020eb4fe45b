"""The socket that a server listens on, which is there before its engine is.

A port that is taken is known at once, and not after the engine has been loaded; and whoever asks
meanwhile hears that the server is alive and not ready, instead of finding nobody.
"""

import errno
import os
import socket
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from frontrunner import __version__

from ..common.config_identity import PATH
from ..config import ServerSettings
from ..errors import BadRequest
from .errors import json_response, plain_error
from .http_server import Runner, usual_connections
from .security.api_keys import public

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Connections that may wait to be accepted.
_BACKLOG: Final = 1024
#: Seconds that requests which are no races get when a server ends.
_LAST_REQUESTS: Final = 2.0


@contextmanager
def listening(settings: ServerSettings) -> "Iterator[list[socket.socket]]":
    """The sockets of a server, which listen: those of every address of its host, or the one of its
    path, whose file is removed in the end.

    Raises:
        BadRequest: the address is taken, or not ours.
    """
    if settings.socket is not None:
        yield from _on_path(Path(settings.socket))
        return
    sockets = _bound(settings.host, settings.port)
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def _bound(host: str, port: int) -> list[socket.socket]:
    """Sockets on all addresses of ``host``; port 0 is the same free one on each."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        absent: OSError | None = None
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                each = socket.socket(family, kind, protocol)
            except OSError as error:  # no IPv6 here
                absent = error
                continue
            sockets.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            try:
                each.bind((address[0], taken, *address[2:]))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                absent = error  # such as ::1 of localhost, where there is no IPv6
                sockets.remove(each)
                each.close()
                continue
            each.listen(_BACKLOG)
            each.setblocking(False)
        if not sockets and absent is not None:
            raise absent
    except OSError as error:
        for each in sockets:
            each.close()
        taken_by_another = error.errno == errno.EADDRINUSE
        remedy = ": name another port, or end what listens there" if taken_by_another else ""
        raise BadRequest(f"cannot listen on {host}:{port} ({_why(error)}){remedy}") from error
    return sockets


def _on_path(path: Path) -> "Iterator[list[socket.socket]]":
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_what_is_left(path)
        listener.bind(str(path))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise BadRequest(f"cannot listen on {path} ({_why(error)})") from error
    ours = path.stat()
    try:
        yield [listener]
    finally:
        listener.close()
        with suppress(OSError):
            now = path.stat()
            if (now.st_dev, now.st_ino) == (ours.st_dev, ours.st_ino):
                path.unlink()


def _remove_what_is_left(path: Path) -> None:
    """Remove the socket of a server that was killed; one that answers is left alone."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def _why(error: OSError) -> str:
    return error.strerror or (os.strerror(error.errno) if error.errno else str(error))


def addresses(sockets: list[socket.socket]) -> list[str]:
    """Where they listen: ``http://host:port``, or ``unix:/path``."""
    found: list[str] = []
    for each in sockets:
        name = each.getsockname()
        if each.family == socket.AF_UNIX:
            found.append(f"unix:{name}")
        else:
            host = f"[{name[0]}]" if ":" in name[0] else name[0]
            found.append(f"http://{host}:{name[1]}")
    return found


@asynccontextmanager
async def serving(
    app: web.Application, settings: ServerSettings, sockets: list[socket.socket]
) -> AsyncGenerator[None]:
    """Answer what comes to ``sockets``, which stay open behind it, with ``app``."""
    runner = Runner(
        app,
        header_timeout=settings.header_timeout,
        idle_timeout=settings.idle_timeout,
        max_connections=settings.max_connections or usual_connections(),
        access_log=None,
        shutdown_timeout=_LAST_REQUESTS,
    )
    await runner.setup()
    try:
        for each in sockets:
            await web.SockSite(runner, each.dup(), backlog=_BACKLOG).start()
        yield
    finally:
        await runner.cleanup()


# ── while the engine loads ────────────────────────────────────────────────────────────────────


def loading_app(fingerprint: str | None) -> web.Application:
    """What is served until the engine is up: that the server is alive, and not ready."""
    app = web.Application()

    async def livez(request: web.Request) -> web.Response:
        return json_response({"status": "alive"})

    async def readyz(request: web.Request) -> web.Response:
        reason = {"code": "loading", "message": "the engine is loading"}
        return json_response(
            {"status": "unavailable", "reasons": [reason]},
            status=503,
            headers={"Cache-Control": "no-store", "Retry-After": "1"},
        )

    async def later(request: web.Request) -> web.Response:
        response = plain_error(503, "the engine is loading: try again in a moment", "loading")
        response.headers.update({"Retry-After": "1", "x-should-retry": "true"})
        return response

    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/health", readyz)
    add_identity(app, fingerprint, ready=lambda: False)
    app.router.add_route("*", "/{path:.*}", later)
    return app


def add_identity(
    app: web.Application, fingerprint: str | None, *, ready: Callable[[], bool]
) -> None:
    """``GET /frontrunner/server``, by which ``frontrunner solve`` finds a server that runs on the
    config that it would race on itself. It tells nothing else, and so needs no key."""

    @public
    async def identity(request: web.Request) -> web.Response:
        said = {"version": __version__, "config": fingerprint, "ready": ready()}
        return json_response(said, headers={"Cache-Control": "no-store"})

    app.router.add_get(PATH, identity)
