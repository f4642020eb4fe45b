"""``frontrunner serve``: the HTTP server until a signal ends it."""

import signal
import sys

import anyio
from aiohttp import web

from ...config import ServerSettings, Settings
from ...errors import BadRequest
from ...runtime import Runtime
from ...serving.app import create_app
from ...serving.drain import drain
from ...serving.http_server import Runner
from ...serving.security.keys import Keys, warn_if_open
from ..common.engine_startup import RuntimeFactory, started
from ..common.races import load_settings
from ..common.running import ExitStatus, run
from ..options.serve import ServeCommand

#: Seconds that requests which are no races get when the server ends.
_LAST_REQUESTS = 2.0
#: Connections that may wait to be accepted.
_BACKLOG = 1024


def run_serve(command: ServeCommand, make_runtime: RuntimeFactory) -> int:
    """Serve until a signal comes, and return the exit status.

    Raises:
        BadRequest: the address is taken or not ours.
        ConfigError: the config, its keys or origins are wrong.
        EngineStartError: the engine does not start.
        Interrupted: a signal came before the server listened.
    """
    settings = _settings(command)
    keys = Keys.from_settings(settings.server)  # what is wrong shows before an engine starts
    server = _Server()

    async def body() -> int:
        async with started(make_runtime(settings), show=True) as runtime:
            await server.serve(runtime, settings.server, keys)
        return ExitStatus.DONE

    return run(body, uvloop=command.uvloop, end_gently=server.end)


def _settings(command: ServeCommand) -> Settings:
    """Those of the config, with what the command says of them.

    Raises:
        ConfigError: the file is wrong.
    """
    settings = load_settings(command.config, command.sets)
    said = {"host": command.host, "port": command.port}
    update = {key: value for key, value in said.items() if value is not None}
    return settings.model_copy(update={"server": settings.server.model_copy(update=update)})


class _Server:
    """Listens, from when its engine is up until it is told to end."""

    def __init__(self) -> None:
        self._told: anyio.Event | None = None

    def end(self, number: signal.Signals) -> bool:
        """Tell it to end; False if it does not listen yet, and so has nobody to answer to."""
        if self._told is None:
            return False
        self._told.set()
        return True

    async def serve(self, runtime: Runtime, settings: ServerSettings, keys: Keys) -> None:
        app = create_app(runtime)
        runner = Runner(
            app,
            header_timeout=settings.header_timeout,
            idle_timeout=settings.idle_timeout,
            access_log=None,
            shutdown_timeout=_LAST_REQUESTS,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG)
            try:
                await site.start()
            except OSError as error:
                address = f"{settings.host}:{settings.port}"
                raise BadRequest(f"cannot listen on {address} ({error.strerror})") from error
            self._told = anyio.Event()
            warn_if_open(keys, settings.host)
            _say(runner, runtime)
            await self._told.wait()
            print("ending: races come to their answers (again: at once)", file=sys.stderr)
            await drain(app)
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()


def _say(runner: web.AppRunner, runtime: Runtime) -> None:
    model = runtime.settings.server.model or runtime.engine.info.model
    for host, port, *_ in runner.addresses:
        shown = f"[{host}]" if ":" in host else host
        print(f"serving {model} on http://{shown}:{port}/v1", flush=True)
