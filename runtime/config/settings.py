"""The whole file."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from ..errors import ConfigError
from .engine import EngineSettings
from .planning import PlanningSettings
from .racing import AnswerSettings, ForcingSettings, LengthSettings, RaceSettings, SamplingSettings
from .rewards import RewardSettings
from .sections import Section
from .serving import ServerSettings


class LogSettings(Section):
    """Frontrunner's own log, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    format: Literal["console", "json"] = "console"


class Settings(Section):
    """Everything a ``Runtime`` needs."""

    engine: EngineSettings = EngineSettings()
    sampling: SamplingSettings = SamplingSettings()
    race: RaceSettings = RaceSettings()
    forcing: ForcingSettings = ForcingSettings()
    answers: AnswerSettings = AnswerSettings()
    rewards: RewardSettings = RewardSettings()
    lengths: LengthSettings | None = None
    planning: PlanningSettings = PlanningSettings()
    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.race.branches > self.engine.max_branches:
            raise ValueError(
                f"race.branches ({self.race.branches}) exceeds engine.max_branches "
                f"({self.engine.max_branches})"
            )
        context = self.engine.max_context_tokens
        if context is not None and self.forcing.max_tokens >= context:
            raise ValueError("forcing.max_tokens must be below engine.max_context_tokens")
        main, second = self.engine.gpu_memory_utilization, self.rewards.gpu_memory_utilization
        if main is not None and second is not None and main + second > 1:
            raise ValueError(
                f"engine.gpu_memory_utilization ({main:g}) and rewards.gpu_memory_utilization "
                f"({second:g}) exceed 1: both engines share the GPU"
            )
        return self

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read settings from a file.

        Raises:
            ConfigError: naming the file and the key.
        """
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError("", f"cannot read it ({error.strerror})", str(path)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError("", f"not valid TOML: {error}", str(path)) from error
        settings = cls.from_dict(data, source=str(path))
        return settings._resolved(path.parent)

    @classmethod
    def from_dict(cls, data: dict[str, Any], *, source: str | None = None) -> Self:
        """Check settings given as nested dictionaries.

        Raises:
            ConfigError: naming the key.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"])
            raise ConfigError(path, _problem(first), source) from None

    def _resolved(self, folder: Path) -> Self:
        """Model folders and files relative to the config file made absolute."""
        engine = self.engine
        if engine.kind == "openai":  # its model is the endpoint's name, whatever it looks like
            if engine.tokenizer is not None:
                tokenizer = _resolve(engine.tokenizer, folder, "tokenizer_config.json")
                engine = engine.model_copy(update={"tokenizer": tokenizer})
        else:
            speculation = engine.speculation
            engine = engine.model_copy(
                update={
                    "model": _resolve(engine.model, folder),
                    "speculation": speculation.model_copy(
                        update={"model": speculation.model and _resolve(speculation.model, folder)}
                    ),
                }
            )
        rewards = self.rewards
        if rewards.kind == "pooling" and rewards.model is not None:
            rewards = rewards.model_copy(update={"model": _resolve(rewards.model, folder)})
        server = self.server
        if server.key_file is not None:
            key_file = folder / Path(server.key_file).expanduser()
            server = server.model_copy(update={"key_file": str(key_file.resolve())})
        planning = self.planning
        if planning.models is not None:
            models = (folder / Path(planning.models).expanduser()).resolve()
            planning = planning.model_copy(update={"models": str(models)})
        return self.model_copy(
            update={"engine": engine, "rewards": rewards, "server": server, "planning": planning}
        )


def _resolve(model: str, folder: Path, file: str = "config.json") -> str:
    if model.startswith((".", "/", "~")) or (folder / model / file).exists():
        return str((folder / Path(model).expanduser()).resolve())
    return model


def _problem(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def demo_config_path() -> Path:
    """The shipped ``configs/demo.toml``."""
    return Path(__file__).resolve().parents[2] / "configs" / "demo.toml"
