"""Our settings on vLLM's server: those of a file, with what the server says itself."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from ...config import CONFIG_VARIABLE, ServerSettings, Settings, VllmSettings
from ...engines.vllm.ranks import rank_count
from ...errors import ConfigError
from ...model_files.families import with_family

if TYPE_CHECKING:
    from argparse import Namespace

    from vllm.engine.protocol import EngineClient

_log = structlog.get_logger("frontrunner.serving")

#: The environment variable with the path of a config file.
CONFIG: Final = CONFIG_VARIABLE
#: The keys of ``[engine]`` that are used, and those of ``[server]`` that are not: all else is the
#: server's own to say.
_ENGINE: Final = ("kind", "max_branches", "family")
_LISTENING: Final = ("host", "port")


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What vLLM's engine says that concerns races."""

    model: str
    """The name under which vLLM serves the model; clients ask for it by ``names``, too."""
    files: str
    """Where the model's files are: a folder, or a name on the Hugging Face hub."""
    names: tuple[str, ...]
    max_requests: int
    """Requests that run at once, for each of the server's processes that ask it."""
    context_tokens: int
    """The longest context, prompt and output together."""

    @classmethod
    def read(cls, client: "EngineClient") -> Self:
        """Ask a client of the engine."""
        config = client.vllm_config
        served: str | list[str] | None = config.model_config.served_model_name
        names = [served] if isinstance(served, str) else served or []
        names = [*names, config.model_config.model]
        requests = config.scheduler_config.max_num_seqs * rank_count(config)
        return cls(
            model=names[0],
            files=config.model_config.model,
            names=tuple(names[1:-1]),
            max_requests=max(1, requests // _processes(client)),
            context_tokens=config.model_config.max_model_len,
        )


def _processes(client: "EngineClient") -> int:
    """The API servers that share the engine (``--api-server-count``)."""
    count: int = getattr(client, "_client_count", 1)
    return max(1, count)


def server_keys(args: "Namespace") -> tuple[tuple[str, str], ...]:
    """The keys that open vLLM's own routes: those of ``--api-key``, or ``VLLM_API_KEY``. vLLM
    guards ``/v1`` alone with them."""
    keys: list[str] = [key for key in args.api_key or [os.environ.get("VLLM_API_KEY")] if key]
    return tuple((f"vllm-api-key-{n}", key) for n, key in enumerate(dict.fromkeys(keys), 1))


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings of the file that ``FRONTRUNNER_CONFIG`` names, or the defaults, with what the
    environment says of single keys.

    Raises:
        ConfigError: naming the file or the variable, and the key.
    """
    path = environment.get(CONFIG, "")
    if path:
        settings = Settings.load(path, environ=environment)
    else:
        settings = Settings.from_environment(environment)
    if settings.rewards.kind == "pooling":
        raise ConfigError(
            "rewards.kind",
            '"pooling" starts a second vLLM engine, which would take the place of the server\'s '
            'in its metrics: serve the reward model elsewhere and use "remote"',
            path,
        )
    return settings


def _ignored(settings: Settings) -> list[str]:
    """The keys that say something else than their defaults, to no effect."""
    engine, server, plain = settings.engine, settings.server, ServerSettings()
    if not isinstance(engine, VllmSettings):
        return ["engine.kind"]
    default = VllmSettings()
    keys = [key for key in VllmSettings.model_fields if key not in _ENGINE]
    return [
        *(f"engine.{key}" for key in keys if getattr(engine, key) != getattr(default, key)),
        *(f"server.{key}" for key in _LISTENING if getattr(server, key) != getattr(plain, key)),
    ]


def for_server(settings: Settings, args: "Namespace", engine: "EngineFacts") -> Settings:
    """``settings`` with what the server and its engine say.

    Raises:
        ConfigError: the engine does not run as many branches as a race is to have, or the settings
            do not fit the model's family.
    """
    if ignored := _ignored(settings):
        _log.warning("frontrunner.settings_ignored", keys=ignored, reason="vLLM's server says them")
    most = min(settings.engine.max_branches, engine.max_requests)
    attached = VllmSettings(
        model=engine.model,
        family=settings.engine.family,
        max_branches=most,
        max_context_tokens=engine.context_tokens,
    )
    race = settings.race
    if race.branches > most:
        if "branches" in race.model_fields_set:
            raise ConfigError(
                "race.branches",
                f"{race.branches} exceeds the {most} requests that races may have at once "
                "(--max-num-seqs over the API servers, and engine.max_branches)",
            )
        fewest = min(race.min_branches, most)
        race = race.model_copy(update={"branches": most, "min_branches": fewest})
    server = settings.server.model_copy(
        update={
            "host": args.host or "0.0.0.0",  # of the socket that vLLM opens
            "model": settings.server.model or engine.model,
        }
    )
    prompt = settings.prompt
    given: Mapping[str, Any] = args.default_chat_template_kwargs or {}
    if given:
        arguments = {**given, **prompt.template_arguments}
        prompt = prompt.model_copy(update={"template_arguments": arguments})
    changed = {"engine": attached, "race": race, "server": server, "prompt": prompt}
    return with_family(settings.model_copy(update=changed), engine.files)
