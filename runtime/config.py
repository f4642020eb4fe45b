"""Settings: one TOML file describes an engine and how it is raced.

Unknown keys, wrong types and combinations that cannot work are refused with the key's path.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from frontrunner.strategies.registry import create_strategy

from .errors import ConfigError

#: TOML's arrays arrive as lists.
Strings = Annotated[tuple[str, ...], Field(strict=False)]

#: Stands for the model that ships inside the package.
DEMO_MODEL = "demo"
#: Stands for its draft model.
DEMO_DRAFT_MODEL = "demo-draft"


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class SpeculationSettings(_Section):
    """Draft tokens that the model verifies in one step; the output's distribution stays."""

    method: Literal["none", "ngram", "draft_model"] = "none"
    tokens: PositiveInt = 3
    """K: draft tokens a step."""
    model: str | None = None
    """The draft model (``draft_model`` only): a folder, a hub name, or ``demo-draft``."""
    ngram_min: PositiveInt = 2
    ngram_max: PositiveInt = 4
    """Shortest and longest suffix that ``ngram`` looks up."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set
        if self.method == "draft_model" and self.model is None:
            raise ValueError('method "draft_model" needs speculation.model')
        if self.method != "draft_model" and self.model is not None:
            raise ValueError(f'speculation.model has no meaning with method "{self.method}"')
        if self.method != "ngram" and given & {"ngram_min", "ngram_max"}:
            raise ValueError(f'ngram_min and ngram_max have no meaning with "{self.method}"')
        if self.method == "none" and "tokens" in given:
            raise ValueError('tokens has no meaning with method "none"')
        if self.ngram_min > self.ngram_max:
            raise ValueError("ngram_min must not exceed ngram_max")
        return self


class EngineSettings(_Section):
    """The in-process vLLM engine."""

    kind: Literal["vllm"] = "vllm"
    model: str = DEMO_MODEL
    """A model folder (relative to the config file), a hub name, or ``demo``."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_branches: PositiveInt = 64
    """Requests that run at once; branches of all races share them."""
    max_context_tokens: PositiveInt | None = None
    """None: the model's own."""
    prefill_tokens_per_step: PositiveInt | None = None
    """Smaller steps make for sharper deadlines. None: 512 on a CPU, else vLLM's default."""
    cache_block_tokens: PositiveInt | None = None
    """None: 32 on a CPU (so that continuations recompute little), else vLLM's default."""
    cache_gib: PositiveFloat | None = None
    """Size of the KV cache. None: 1 GiB on a CPU, else what vLLM finds free."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    tensor_parallel: PositiveInt = 1
    eager: bool | None = None
    """Skip compilation and graphs. None: on a CPU."""
    shutdown_timeout: NonNegativeInt = 0
    """Seconds that running requests get when the engine is told to end."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "ERROR"
    """Of vLLM's own log, which goes to stderr."""
    speculation: SpeculationSettings = SpeculationSettings()


class SamplingSettings(_Section):
    """How tokens are drawn."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: NonNegativeInt = 0
    """0: all."""
    max_tokens: PositiveInt = 4096
    """Of one branch."""
    stop: Strings = ()


class RaceSettings(_Section):
    """How a question is raced."""

    deadline: PositiveFloat = 10.0
    """Seconds; what a call does not say itself."""
    branches: PositiveInt = 16
    strategy: str = "majority"
    parameters: dict[str, Any] = {}
    """Of the strategy."""
    return_margin: PositiveFloat = 0.03
    """Seconds kept for aborting what still runs and handing the result back."""
    abort_limit: PositiveFloat = 1.0
    """Seconds that telling the engine to abort may take."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "branches" in self.parameters:
            raise ValueError("branches is set in race.branches, not in race.parameters")
        if self.return_margin >= self.deadline:
            raise ValueError("return_margin must be below deadline")
        create_strategy(self.strategy, {**self.parameters, "branches": self.branches})
        return self


class ForcingSettings(_Section):
    """How an unfinished branch is made to answer at the call time."""

    suffix: str = "\n\nTime is up. The final answer is \\boxed{"
    max_tokens: PositiveInt = 16
    stop: Strings = ()


class AnswerSettings(_Section):
    """How an answer is found and compared."""

    pattern: str | None = None
    """Regular expression tried where there is no ``\\boxed{}``; group 1 is the answer."""
    compare_timeout: PositiveFloat = 1.0
    """Seconds that comparing two answers may take."""
    workers: NonNegativeInt = 2
    """Processes that compare answers by algebra. 0: by spelling and number only."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return pattern


class LengthSettings(_Section):
    """What is known about how long branches get, in tokens; it improves with every race."""

    median: PositiveInt
    p95: PositiveInt

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.p95 <= self.median:
            raise ValueError("p95 must exceed median")
        return self


class LogSettings(_Section):
    """Frontrunner's own log, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "warning"
    format: Literal["console", "json"] = "console"


class Settings(_Section):
    """Everything a ``Runtime`` needs."""

    engine: EngineSettings = EngineSettings()
    sampling: SamplingSettings = SamplingSettings()
    race: RaceSettings = RaceSettings()
    forcing: ForcingSettings = ForcingSettings()
    answers: AnswerSettings = AnswerSettings()
    lengths: LengthSettings | None = None
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
        """Model folders relative to the config file made absolute."""
        speculation = self.engine.speculation
        engine = self.engine.model_copy(
            update={
                "model": _resolve(self.engine.model, folder),
                "speculation": speculation.model_copy(
                    update={"model": speculation.model and _resolve(speculation.model, folder)}
                ),
            }
        )
        return self.model_copy(update={"engine": engine})


def _resolve(model: str, folder: Path) -> str:
    if model.startswith((".", "/", "~")) or (folder / model / "config.json").exists():
        return str((folder / Path(model).expanduser()).resolve())
    return model


def _problem(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def demo_config_path() -> Path:
    """The shipped ``configs/demo.toml``."""
    return Path(__file__).resolve().parent.parent / "configs" / "demo.toml"
