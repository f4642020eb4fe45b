"""The server as an ASGI application, for FastAPI, Starlette and whatever else speaks ASGI.

The API is served by aiohttp, on a socket in a folder that only this user can enter; requests that
come by ASGI are handed on to it in the same event loop. So it is one server, with the same limits
and the same behaviour, whoever accepts its connections.
"""

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Final, Self

import aiohttp
import anyio
import structlog
from aiohttp import web

from ...config import Settings
from ...errors import EngineClosed, FrontrunnerError
from ...runtime import Runtime
from ..app import Host, create_app
from ..http_server import Runner
from ..runs.run import RUNS
from .relay import Receive, Scope, Send, read_refusal, refuse, relay_request, relay_socket, route

_log = structlog.get_logger("frontrunner.serving")

#: Characters that the address of a unix-domain socket may have, less those of its name.
_MAX_FOLDER: Final = 80
#: Seconds that requests which are no races get when the application ends.
_LAST_REQUESTS: Final = 1.0


def asgi(runtime: Runtime | Settings | str | Path) -> "AsgiApp":
    """The whole server as an ASGI application: OpenAI's APIs, the websocket, the page, metrics.

    Args:
        runtime: what races are run on: a ``Runtime`` that the caller enters and leaves, or the
            config (or its path) of one that the application starts and stops: in its lifespan, or
            in ``async with``, where it is mounted in another application, which passes no lifespan
            on.

    Raises:
        ConfigError: the config, its keys or origins are wrong.

    It needs an event loop of asyncio's or uvloop.
    """
    return AsgiApp(runtime)


class AsgiApp:
    """An ASGI application; ``asgi`` makes it.

    ::

        runtime = Runtime.from_config("configs/demo.toml")
        app = FastAPI(lifespan=…)  # enters and leaves the runtime
        app.mount("/llm", asgi(runtime))
    """

    def __init__(self, runtime: Runtime | Settings | str | Path, host: Host | None = None) -> None:
        """
        Args:
            runtime: as of ``asgi``.
            host: of a server that serves the application as a part of its own.
        """
        self._settings: Settings | None = None
        self._runtime: Runtime | None = None
        self._host = host
        if isinstance(runtime, Runtime):
            self._runtime = runtime
            create_app(runtime, host=host)  # what is wrong with its settings shows now
        elif isinstance(runtime, Settings):
            self._settings = runtime
        else:
            self._settings = Settings.load(runtime)
        self._site: _Site | None = None
        self._entered: AsyncExitStack | None = None

    @property
    def runtime(self) -> Runtime | None:
        """What it races on; None: it is not started."""
        return self._runtime

    async def __aenter__(self) -> Self:
        """Start serving, and start the engine if the application was made from a config.

        Raises:
            EngineStartError: with the reason and what to do.
            ConfigError: the keys or origins are wrong.
        """
        async with AsyncExitStack() as stack:
            if self._settings is not None:
                self._runtime = await stack.enter_async_context(Runtime.from_config(self._settings))
                stack.callback(self._forget)
                await self._open()
            stack.push_async_callback(self._close)
            self._entered = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Let the races that run come to their answers, as the server does when it ends; then stop
        the engine if the application started it."""
        entered, self._entered = self._entered, None
        if entered is not None:
            with anyio.CancelScope(shield=True):
                await entered.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._lifespan(receive, send)
            case "http" | "websocket":
                await self._serve(scope, receive, send)
            case other:
                raise ValueError(f"connections of type {other!r} are not served")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            session = await self._open()
        except FrontrunnerError as error:
            await refuse(scope, send, error)
            return
        if scope["type"] == "websocket":
            await relay_socket(session, scope, receive, send)
        elif not route(scope):
            await _add_slash(scope, send)
        else:
            await relay_request(session, scope, receive, send)

    async def _open(self) -> aiohttp.ClientSession:
        """What talks to the server, which is started if it does not run.

        Raises:
            EngineClosed: the runtime does not run.
            ConfigError: the keys or origins are wrong.
        """
        if self._runtime is None:
            raise EngineClosed(
                "the application was not started: an application that mounts it passes no lifespan "
                "on, so enter it in the lifespan of that one: async with llm: yield"
            )
        if self._site is None or self._site.over:
            site = _Site(self._runtime, self._host)
            self._runtime.run_beside(site.serve)
            self._site = site
        return await self._site.opened()

    async def _close(self) -> None:
        if self._site is not None:
            await self._site.close()

    def _forget(self) -> None:
        self._runtime = None

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            await self.__aenter__()
        except Exception as error:  # noqa: BLE001 - the server says it, and ends
            _log.exception("frontrunner.startup_failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        finally:
            await self.__aexit__()
        await send({"type": "lifespan.shutdown.complete"})


class _Site:
    """The server on its socket. It lives in the background of its runtime, so that it ends, at the
    latest, when that is left."""

    def __init__(self, runtime: Runtime, host: Host | None) -> None:
        self._runtime, self._host = runtime, host
        self._session: aiohttp.ClientSession | None = None
        self._failure: Exception | None = None
        self._opened, self._closing, self._ended = anyio.Event(), anyio.Event(), anyio.Event()

    @property
    def over(self) -> bool:
        return self._ended.is_set()

    async def opened(self) -> aiohttp.ClientSession:
        await self._opened.wait()
        if self._session is None:
            raise self._failure or EngineClosed("the server is ending")
        return self._session

    async def close(self) -> None:
        """Take no more races, let those that run come to their answers, and end."""
        self._closing.set()
        await self._ended.wait()

    async def serve(self) -> None:
        try:
            with TemporaryDirectory(prefix="frontrunner-", dir=_folder()) as folder:
                await self._serve(f"{folder}/http")
        except Exception as error:  # noqa: BLE001 - told to whoever asks; the runtime goes on
            _log.exception("frontrunner.asgi_failed")
            self._failure = error
        finally:
            self._session = None
            self._opened.set()
            self._ended.set()

    async def _serve(self, path: str) -> None:
        settings = self._runtime.settings.server
        app = create_app(self._runtime, host=self._host)
        runner = Runner(
            app,
            header_timeout=settings.header_timeout,
            idle_timeout=settings.idle_timeout,
            access_log=None,
            shutdown_timeout=_LAST_REQUESTS,
        )
        try:
            await runner.setup()
            await web.UnixSite(runner, path).start()
            async with _client(path) as self._session:
                self._opened.set()
                await self._closing.wait()
                await app[RUNS].drain(settings.drain_limit)
        finally:
            with anyio.CancelScope(shield=True):
                app[RUNS].close()
                await runner.cleanup()


def _client(path: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # A connection a request: one that was kept might be closed just as it is used again.
        connector=aiohttp.UnixConnector(path, limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        raise_for_status=read_refusal,
    )


def _folder() -> str | None:
    """Where to make the socket's folder; None: where temporary ones are made."""
    return None if len(gettempdir()) <= _MAX_FOLDER else "/tmp"


async def _add_slash(scope: Scope, send: Send) -> None:
    """The page finds its files relative to its place, which must end with a slash."""
    query = (scope.get("query_string") or b"").decode("latin-1")
    place = f"{scope.get('root_path') or ''}/{'?' if query else ''}{query}"
    headers = [(b"location", place.encode("latin-1", "replace")), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
