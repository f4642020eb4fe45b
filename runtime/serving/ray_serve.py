"""Frontrunner on Ray Serve (extra ``ray``): whole servers, or engines alone, as deployments.

``servers`` is the server (OpenAI's APIs, streams, websocket) in several replicas, each with an
engine of its own; Ray's proxy spreads requests over them. ``engines`` are engines without races, on
which a ``Runtime`` elsewhere races through ``RayServeEngine``.

Both are also what ``serve run`` and a Serve config file take::

    serve run frontrunner.runtime.serving.ray_serve:servers config=my-engine.toml replicas=2
"""

import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import anyio

from ..config import Settings
from ..engines.protocol import Chunk, Engine, EngineInfo, Generation, RunsBeside
from ..errors import ConfigError, EngineDead
from ..racing.background import Background
from .asgi_adapter.application import AsgiApp

#: Seconds that telling an engine of a request may take whose reader has gone.
_ABORT_LIMIT: Final = 1.0
#: Seconds that the work beside an engine gets to end.
_END_LIMIT: Final = 5.0
#: Requests to a replica beyond those that its engine runs: they wait there, by their priority.
_WAITING: Final = 16
#: Seconds that a replica which is to end gets for its races; above ``server.drain_limit``.
_DRAIN: Final = 60.0

MakeEngine = Callable[[Settings], Engine]


class ServerReplica:
    """The server in one replica. Ray starts and stops it by its lifespan."""

    def __init__(self, config: str | Mapping[str, Any]) -> None:
        """
        Args:
            config: a path on the replica's machine, or the config itself.
        """
        self._app = AsgiApp(_settings(config))

    def __serve_build_asgi_app__(self) -> AsgiApp:
        return self._app

    async def check_health(self) -> None:
        """Raises where only another replica would help, which Ray then starts."""
        runtime = self._app.runtime
        if runtime is not None and isinstance(failure := runtime.engine.failure, EngineDead):
            raise failure


class EngineReplica:
    """An engine in one replica."""

    async def __init__(  # pyright: ignore[reportGeneralTypeIssues] - Ray Serve awaits it
        self, config: str | Mapping[str, Any], make: MakeEngine | None = None
    ) -> None:
        """
        Args:
            config: a path on the replica's machine, or the config itself.
            make: the engine that is to run, not started; None: the config's.
        """
        from ..engines.factory import make_engine

        settings = _settings(config)
        self._engine = (
            make_engine(settings.engine, settings.prompt, settings.thinking)
            if make is None
            else make(settings)
        )
        self._beside = Background()
        self._counts = Counter[str](begun=0, ended=0, aborted=0)
        await self._engine.start()
        await self._beside.start()
        if isinstance(self._engine, RunsBeside):
            self._beside.start_soon(self._engine.run_beside)

    async def info(self) -> EngineInfo:
        """What is fixed about it."""
        return self._engine.info

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        """Run a request. Whoever leaves cancels the response, which ends it here."""
        ended = False
        self._counts["begun"] += 1
        try:
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    ended = chunk.finish is not None
                    yield chunk
        finally:
            self._counts["ended" if ended else "aborted"] += 1
            if not ended:
                with anyio.move_on_after(_ABORT_LIMIT, shield=True):
                    await self._engine.abort([request.request_id])

    async def counts(self) -> Mapping[str, int]:
        """Requests that were begun here, that ended by themselves, that were aborted or lost, and
        that the engine runs; and the process that this is."""
        load = self._engine.load()
        return {**self._counts, "running": load.running + load.waiting, "pid": os.getpid()}

    async def check_health(self) -> None:
        """Raises where only another replica would help, which Ray then starts."""
        if isinstance(failure := self._engine.failure, EngineDead):
            raise failure

    async def __del__(self) -> None:
        """Ray Serve awaits it before it ends the replica's process."""
        with anyio.CancelScope(shield=True):
            await self._beside.aclose(_END_LIMIT)
            await self._engine.aclose()


def servers(
    args: Mapping[str, Any] | None = None,
    *,
    config: str | Mapping[str, Any] = "",
    replicas: int = 2,
    **options: Any,
) -> Any:
    """An application of Ray Serve whose replicas are whole servers.

    Args:
        args: ``config``, ``replicas`` and ``options`` as Ray Serve passes them.
        config: see ``ServerReplica``.
        replicas: how many, each with an engine of its own.
        options: of the deployment, such as ``ray_actor_options={"num_gpus": 1}``.

    Raises:
        ConfigError: Ray Serve is not installed, or there is no config.
    """
    serve = _serve()
    config, replicas, options = _arguments(args, config, replicas, options)
    made = serve.deployment(serve.ingress()(ServerReplica))
    return made.options(**_options("frontrunner", config, replicas, options)).bind(config)


def engines(
    args: Mapping[str, Any] | None = None,
    *,
    config: str | Mapping[str, Any] = "",
    replicas: int = 2,
    make: MakeEngine | None = None,
    **options: Any,
) -> Any:
    """An application of Ray Serve whose replicas are engines, for ``RayServeEngine``.

    Args:
        args, config, replicas, options: see ``servers``.
        make: see ``EngineReplica``.

    Raises:
        ConfigError: Ray Serve is not installed, or there is no config.
    """
    serve = _serve()
    router = import_module("ray.serve.experimental.consistent_hash_router")
    made = import_module("ray.serve.config").RequestRouterConfig
    config, replicas, options = _arguments(args, config, replicas, options)
    # A race's branches share a prefix: they go where it is cached.
    chosen = made(request_router_class=router.ConsistentHashRouter)
    options.setdefault("request_router_config", chosen)
    told = _options("frontrunner-engine", config, replicas, options)
    return serve.deployment(EngineReplica).options(**told).bind(config, make)


def _options(
    name: str, config: str | Mapping[str, Any], replicas: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Of a deployment. Whatever waits is to wait in the engine, which knows deadlines, not in
    Ray's queues, which do not."""
    most = _settings(config).engine.max_branches
    return {
        "name": name,
        "num_replicas": replicas,
        "max_ongoing_requests": most + _WAITING,
        "graceful_shutdown_timeout_s": _DRAIN,
        **options,
    }


def _arguments(
    args: Mapping[str, Any] | None,
    config: str | Mapping[str, Any],
    replicas: int,
    options: dict[str, Any],
) -> tuple[str | Mapping[str, Any], int, dict[str, Any]]:
    told = {"config": config, "replicas": replicas, **options, **(args or {})}
    config, replicas = told.pop("config"), int(told.pop("replicas"))
    if not config:
        raise ConfigError("config", "name a config file, or give the config itself")
    return config, replicas, told


def _settings(config: str | Mapping[str, Any]) -> Settings:
    if isinstance(config, Mapping):
        return Settings.from_dict(dict(config))
    return Settings.load(Path(config))


def _serve() -> Any:
    try:
        return import_module("ray.serve")
    except ImportError as error:
        raise ConfigError(
            "ray", "Ray Serve is not installed: pip install 'frontrunner[ray]'"
        ) from error
