"""``frontrunner serve``: the HTTP server until a signal ends it."""

import signal
import socket
import sys
from contextlib import AsyncExitStack, ExitStack

import anyio

from ...common.config_identity import ConfigIdentity
from ...config import ServerSettings, Settings
from ...runtime import Runtime
from ...serving.app import create_app
from ...serving.drain import drain
from ...serving.listening import add_identity, addresses, listening, loading_app, serving
from ...serving.metrics_port import metrics_app
from ...serving.security.api_keys import Keys, warn_if_open
from ..common.command_races import load_settings
from ..common.engine_startup import RuntimeFactory, started
from ..common.running import ExitStatus, run
from ..options.serve import ServeCommand


def run_serve(command: ServeCommand, make_runtime: RuntimeFactory) -> int:
    """Serve until a signal comes, and return the exit status.

    Raises:
        BadRequest: the address is taken or not ours.
        ConfigError: the config, its keys or origins are wrong.
        EngineStartError: the engine does not start.
        Interrupted: a signal came before the server was ready.
    """
    settings = _settings(command)
    keys = Keys.from_settings(settings.server)  # what is wrong shows before an engine starts
    identity = ConfigIdentity.read(command.config, command.sets or ())
    fingerprint = identity.fingerprint if identity is not None else None
    server = _Server(settings.server, keys, fingerprint)
    with ExitStack() as stack:
        sockets = stack.enter_context(listening(settings.server))
        metrics = stack.enter_context(listening(of)) if (of := _metrics(settings.server)) else None
        return run(
            lambda: server.run(make_runtime(settings), sockets, metrics),
            uvloop=command.uvloop,
            end_gently=server.end,
        )


def _settings(command: ServeCommand) -> Settings:
    """Those of the config, with what the command says of them.

    Raises:
        ConfigError: the file is wrong.
    """
    settings = load_settings(command.config, command.sets)
    said = {"host": command.host, "port": command.port, "socket": command.socket}
    update = {key: value for key, value in said.items() if value is not None}
    return settings.model_copy(update={"server": settings.server.model_copy(update=update)})


def _metrics(settings: ServerSettings) -> ServerSettings | None:
    """Where metrics are served by themselves; None: they are not."""
    if settings.metrics_port is None:
        return None
    address = {"host": settings.metrics_host, "port": settings.metrics_port, "socket": None}
    return settings.model_copy(update=address)


class _Server:
    """Listens from the beginning, races once its engine is up, until it is told to end."""

    def __init__(self, settings: ServerSettings, keys: Keys, fingerprint: str | None) -> None:
        self._settings = settings
        self._keys = keys
        self._fingerprint = fingerprint
        self._told: anyio.Event | None = None

    def end(self, number: signal.Signals) -> bool:
        """Tell it to end; False if it is not ready yet, and so has nobody to answer to."""
        if self._told is None:
            return False
        self._told.set()
        return True

    async def run(
        self, runtime: Runtime, sockets: list[socket.socket], metrics: list[socket.socket] | None
    ) -> int:
        """Serve until told to end."""
        settings = self._settings
        async with AsyncExitStack() as loading:
            loading_only = loading_app(self._fingerprint)
            await loading.enter_async_context(serving(loading_only, settings, sockets))
            async with started(runtime, show=True), AsyncExitStack() as ready:
                app = create_app(runtime)
                add_identity(app, self._fingerprint, ready=lambda: True)
                await ready.enter_async_context(serving(app, settings, sockets))
                await loading.aclose()  # only now, so that somebody listens all the time
                if metrics is not None:
                    beside = serving(metrics_app(app), settings, metrics)
                    await ready.enter_async_context(beside)
                self._told = anyio.Event()
                if settings.socket is None:
                    warn_if_open(self._keys, settings.host)
                _say(runtime, addresses(sockets), addresses(metrics or []))
                await self._told.wait()
                print("ending: races come to their answers (again: at once)", file=sys.stderr)
                await drain(app)
        return ExitStatus.DONE


def _say(runtime: Runtime, where: list[str], metrics: list[str]) -> None:
    model = runtime.settings.server.model or runtime.engine.info.model
    for address in where:
        if address.startswith("unix:"):
            print(f"serving {model} on {address}")
        else:
            print(f"serving {model} on {address}/v1")
            print(f"the page that shows races: {_reachable(address)}/")
    for address in metrics:
        print(f"metrics: {address}/metrics")
    sys.stdout.flush()


def _reachable(address: str) -> str:
    """An address as a browser on this machine takes it."""
    return address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
