"""The whole file."""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import ValidationError, model_validator

from ..common.config_identity import config_path
from ..errors import ConfigError
from .complaints import complaint
from .engine import EngineSettings, OpenAISettings, PoolSettings, VllmSettings
from .overrides import merged, overrides
from .paths import exists, expanded
from .planning import PlanningSettings
from .prompting import PromptSettings
from .racing import AnswerSettings, ForcingSettings, LengthSettings, RaceSettings, SamplingSettings
from .rewards import NoRewards, PoolingRewards, RewardSettings
from .sections import MAY_IMPORT, Section
from .serving import ServerSettings
from .tables import tables
from .thinking import ThinkingSettings
from .vllm_plugin import VllmPluginSettings

_OneEngine = TypeVar("_OneEngine", bound=VllmSettings | OpenAISettings)


class LogSettings(Section):
    """Frontrunner's own log, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    """The least severe lines that are written."""
    format: Literal["console", "json"] = "console"
    """How a line is written: for people (``console``), or as one JSON object (``json``)."""


class Settings(Section):
    """Everything a ``Runtime`` needs."""

    engine: EngineSettings = VllmSettings()
    """What runs the branches: vLLM in this process, an endpoint elsewhere, or a pool of several."""
    prompt: PromptSettings = PromptSettings()
    """What the model is told beside the question, and the variables of its chat template."""
    thinking: ThinkingSettings = ThinkingSettings()
    """Whether the model thinks before it replies, and how it marks that."""
    sampling: SamplingSettings = SamplingSettings()
    """How tokens are drawn."""
    race: RaceSettings = RaceSettings()
    """How a question is raced, where a call does not say."""
    forcing: ForcingSettings = ForcingSettings()
    """How an unfinished branch is made to answer when time runs short."""
    answers: AnswerSettings = AnswerSettings()
    """What an answer is, and which answers are the same vote."""
    rewards: RewardSettings = NoRewards()
    """What scores branches, for the strategies that ask for scores."""
    lengths: LengthSettings | None = None
    """What is known beforehand about how long branches get; it improves with every race. Not set:
    nothing is known."""
    planning: PlanningSettings = PlanningSettings()
    """The number of branches by the deadline left and the load of the moment."""
    server: ServerSettings = ServerSettings()
    """How ``frontrunner serve`` listens, whom it lets in, and what it keeps for a client."""
    vllm_plugin: VllmPluginSettings = VllmPluginSettings()
    """Where races are found on vLLM's own server, which loads them as a plugin."""
    log: LogSettings = LogSettings()
    """Frontrunner's own log, on standard error."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if conflicts := list(self._conflicts()):
            raise ValueError("; ".join(conflicts))
        return self

    def _conflicts(self) -> Iterator[str]:
        """What cannot be together, though each by itself may be."""
        if self.race.branches > self.engine.max_branches:
            yield (
                f"race.branches ({self.race.branches}) exceeds engine.max_branches "
                f"({self.engine.max_branches})"
            )
        engine = self.engine
        engines = engine.members if isinstance(engine, PoolSettings) else (engine,)
        remote = any(isinstance(e, OpenAISettings) and e.tokenizer is None for e in engines)
        if self.prompt.chat_template is not None and remote:
            yield (
                "prompt.chat_template needs engine.tokenizer: without it the endpoint applies a "
                "template of its own"
            )
        context = self.engine.max_context_tokens
        if context is not None and (self.forcing.max_tokens or 0) >= context:
            yield "forcing.max_tokens must be below engine.max_context_tokens"
        if isinstance(engine, VllmSettings) and isinstance(self.rewards, PoolingRewards):
            main, second = engine.gpu_memory_utilization, self.rewards.gpu_memory_utilization
            if main is not None and second is not None and main + second > 1:
                yield (
                    f"engine.gpu_memory_utilization ({main:g}) and rewards.gpu_memory_utilization "
                    f"({second:g}) exceed 1: both engines share the GPU"
                )

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read settings from a file.

        Raises:
            ConfigError: naming the file and the key.
        """
        path = Path(path)
        settings = cls.from_dict(read_file(path), source=str(path))
        return settings._resolved(path.parent)

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        sets: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Read settings as programs do that are started by themselves: those of a file, changed by
        what the environment says, and then by ``sets``.

        Args:
            path: of the file. None: the one that the environment variable ``FRONTRUNNER_CONFIG``
                names, or else the demo's, which ships inside the package.
            sets: texts of the form ``section.key=value``. Paths in them, and in the environment,
                are relative to the working directory; in the file, to the file.
            environ: None: this process's environment.

        Raises:
            ConfigError: naming the file, the variable or the text, and the key.
        """
        environ = os.environ if environ is None else environ
        path = config_path(path, environ)
        data = read_file(path)
        changes = overrides(cls, data, sets, environ)
        sources = {change.path: change.source for change in changes}
        settings = cls.from_dict(merged(data, changes), source=str(path), sources=sources)
        return settings._resolved(path.parent)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """The defaults, changed by what the environment says.

        Raises:
            ConfigError: naming the variable.
        """
        changes = overrides(cls, {}, (), environ)
        sources = {change.path: change.source for change in changes}
        return cls.from_dict(merged({}, changes), sources=sources)

    @classmethod
    def from_dict(
        cls,
        data: dict[str, Any],
        *,
        source: str | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> Self:
        """Check settings given as nested dictionaries.

        Args:
            source: what they are from, for errors.
            sources: what single keys are from, by their paths, where that is something else.

        Raises:
            ConfigError: naming the key, or each of the keys that are wrong.
        """
        try:
            return cls.model_validate(data, context=MAY_IMPORT)
        except ValidationError as error:
            said = dict.fromkeys(complaint(f, data, tables(cls)) for f in error.errors())
            first, *others = (
                ConfigError(path, problem, _source_of(path, source, sources or {}))
                for path, problem in said
            )
            raise ConfigError(first.path, first.problem, first.source, tuple(others)) from None

    def _resolved(self, folder: Path) -> Self:
        """Model folders and files relative to the config file made absolute."""
        engine = self.engine
        if isinstance(engine, PoolSettings):
            members = tuple(_resolved_engine(member, folder) for member in engine.members)
            engine = engine.model_copy(update={"members": members})
        else:
            engine = _resolved_engine(engine, folder)
        rewards = self.rewards
        if isinstance(rewards, PoolingRewards):
            rewards = rewards.model_copy(update={"model": _resolve(rewards.model, folder)})
        server = self.server
        if server.key_file is not None:
            key_file = folder / expanded(server.key_file)
            server = server.model_copy(update={"key_file": str(key_file.resolve())})
        if server.socket is not None:
            path = folder / expanded(server.socket)
            server = server.model_copy(update={"socket": str(path.absolute())})
        prompt = self.prompt
        if prompt.chat_template is not None:
            template = (folder / expanded(prompt.chat_template)).resolve()
            prompt = prompt.model_copy(update={"chat_template": str(template)})
        race = self.race
        if race.calibration is not None:
            known = (folder / expanded(race.calibration)).resolve()
            race = race.model_copy(update={"calibration": str(known)})
        planning = self.planning
        if planning.models is not None:
            models = (folder / expanded(planning.models)).resolve()
            planning = planning.model_copy(update={"models": str(models)})
        return self.model_copy(
            update={
                "engine": engine,
                "prompt": prompt,
                "race": race,
                "rewards": rewards,
                "server": server,
                "planning": planning,
            }
        )


def _source_of(path: str, source: str | None, sources: Mapping[str, str]) -> str | None:
    """What says what is wrong at ``path``: of a whole table, also what the keys in it are from."""
    if path in sources:
        return sources[path]
    keys = [said for key, said in sources.items() if key.startswith(f"{path}.")]
    if not keys:
        return source
    return ", ".join(keys) if source is None else f"{source} with {', '.join(keys)}"


def _resolved_engine(engine: _OneEngine, folder: Path) -> _OneEngine:
    if isinstance(engine, VllmSettings):
        speculation = engine.speculation
        draft = speculation.draft_model
        if draft is not None:
            speculation = speculation.model_copy(update={"model": _resolve(draft, folder)})
        changed = {"model": _resolve(engine.model, folder), "speculation": speculation}
        return engine.model_copy(update=changed)
    if engine.tokenizer is None:  # its model is the endpoint's name, like what it may
        return engine
    tokenizer = _resolve(engine.tokenizer, folder, "tokenizer_config.json")
    return engine.model_copy(update={"tokenizer": tokenizer})


def _resolve(model: str, folder: Path, file: str = "config.json") -> str:
    if model.startswith((".", "/", "~")) or exists(folder / model / file):
        return str((folder / expanded(model)).resolve())
    return model


def read_file(path: Path) -> dict[str, Any]:
    """What a TOML file says, unchecked.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors may write the mark
    except OSError as error:
        raise ConfigError("", f"cannot read it ({error.strerror})", str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError("", f"not valid TOML: {error}", str(path)) from error
