"""The plugin that vLLM's server loads, by the protocol ``EndpointPlugin`` of
``vllm/plugins/endpoint_plugins/interface.py`` (vLLM 0.32 on).

vLLM calls, in this order: the class itself, ``attach_router`` while it builds its FastAPI
application, ``init_state`` with the client of its engine, and then the lifespan of the application,
around which ours is put. What is wrong is raised where the server starts, which then does not: one
that was asked to race must not come up without.
"""

import os
from argparse import Namespace
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from prometheus_client import REGISTRY

from ...config import Settings
from ...engines.protocol import Engine
from ...engines.vllm.attached import AttachedEngine
from ...errors import ConfigError, EngineClosed, EngineStartError
from ...model_files.families import with_family
from ...rewards import make_reward_model
from ...runtime import Runtime
from ..app import Host
from ..asgi_adapter.application import AsgiApp
from ..asgi_adapter.relay import Receive, Scope, Send, refuse
from ..observability.metrics import Metrics
from .deadline_switch import DeadlineSwitch
from .server_settings import EngineFacts, for_server, read_settings, server_keys

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.datastructures import State
    from vllm.engine.protocol import EngineClient

_log = structlog.get_logger("frontrunner.serving")

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


class VllmPlugin:
    """Races on a vLLM server. vLLM makes one for each of its API server processes."""

    name: Final = "frontrunner"
    #: vLLM loads it only where the model writes text.
    required_tasks: Final = ("generate",)

    def __init__(self) -> None:
        self._settings = Settings()
        self._served: AsgiApp | None = None
        self._runtime: Runtime | None = None

    def attach_router(self, app: "FastAPI") -> None:
        """Add the routes; vLLM calls it once, before there is an engine.

        Raises:
            ConfigError: naming the file and the key.
        """
        from starlette.middleware import Middleware

        self._settings = read_settings(os.environ)
        place = self._settings.vllm_plugin
        _check_prefix(place.prefix, [getattr(route, "path", "") for route in app.routes])
        app.mount(place.prefix, self._serve)
        if place.in_place:
            # The innermost: all of vLLM's own middleware holds for races, too.
            app.user_middleware.append(Middleware(DeadlineSwitch, raced=self._serve))
        app.router.lifespan_context = self._around(app.router.lifespan_context)

    async def init_state(
        self, engine_client: "EngineClient | None", state: "State", args: Namespace
    ) -> None:
        """Take the server's engine; vLLM calls it once, before it serves.

        Raises:
            ConfigError: naming the file and the key.
            EngineStartError: races cannot run on this engine.
        """
        if engine_client is None:
            return  # a server that only renders prompts
        from vllm.v1.engine.async_llm import AsyncLLM

        if not isinstance(engine_client, AsyncLLM):
            raise EngineStartError(
                f"races need vLLM's AsyncLLM, and this server has a {type(engine_client).__name__}"
            )
        facts = EngineFacts.read(engine_client)
        settings = with_family(
            for_server(self._settings, args, facts), engine_client.vllm_config.model_config.model
        )
        from vllm.renderers.chat_utils import load_chat_template

        engine = AttachedEngine(
            engine_client, settings, chat_template=load_chat_template(args.chat_template)
        )
        self.race_on(engine, settings, Host(server_keys(args), facts.names, Metrics()))

    def race_on(self, engine: Engine, settings: Settings, host: Host) -> None:
        """Race on ``engine`` for as long as the application lives.

        Raises:
            ConfigError: naming the key.
        """
        rewards = make_reward_model(settings.rewards, engine, settings.engine)
        runtime = Runtime(engine, settings, rewards=rewards, warm_up=True)
        self._runtime, self._served = runtime, AsgiApp(runtime, host)
        if host.metrics is not None:
            host.metrics.read_load(runtime)
            host.metrics.publish(REGISTRY)

    def _around(self, theirs: Lifespan) -> Lifespan:
        """vLLM's lifespan with ours inside: its engine runs before and after."""

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncGenerator[Any]:
            async with theirs(app) as state, self._running():
                yield state

        return lifespan

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[None]:
        runtime, served = self._runtime, self._served
        if runtime is None or served is None:
            yield
            return
        async with runtime, served:
            _log.info(
                "frontrunner.plugin_started",
                prefix=self._settings.vllm_plugin.prefix,
                in_place=self._settings.vllm_plugin.in_place,
            )
            yield

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._served is None:
            await refuse(scope, send, EngineClosed("this server has no engine to race on"))
        else:
            await self._served(scope, receive, send)


def _check_prefix(prefix: str, paths: Sequence[str]) -> None:
    """
    Raises:
        ConfigError: vLLM has routes there.
    """
    for path in paths:
        if path == prefix or path.startswith(f"{prefix}/"):
            raise ConfigError("vllm_plugin.prefix", f"vLLM itself serves {path}: take another path")
