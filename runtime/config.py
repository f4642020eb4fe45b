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
    ValidationInfo,
    field_validator,
    model_validator,
)

from frontrunner.strategies.registry import create_strategy

from .answers.registry import extractor_names
from .answers.schema import check_schema
from .errors import ConfigError

#: TOML's arrays arrive as lists.
Strings = Annotated[tuple[str, ...], Field(strict=False)]

#: Stands for the model that ships inside the package.
DEMO_MODEL = "demo"
#: Stands for its draft model.
DEMO_DRAFT_MODEL = "demo-draft"
#: Stands for its reward model.
DEMO_REWARD_MODEL = "demo-reward"


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
    """Of vLLM's own log, which goes to stderr; a reward model's engine shares it."""
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
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Of forced answers where several branches give one: drawn, guesses scatter and what branches
    know agrees; taken greedily, branches that know nothing agree on the commonest guess. A branch
    that is alone is asked for its best guess, whatever is said here."""
    max_tokens: PositiveInt = 16
    stop: Strings = ()


class AnswerSettings(_Section):
    """How an answer is found and compared."""

    kind: str = "boxed"
    """What an answer is: ``boxed``, ``last_number``, ``multiple_choice``, ``json``, ``tool_call``,
    ``code``, ``text`` (no vote), or one registered with ``register_extractor``."""
    pattern: str | None = None
    """Regular expression tried where there is no ``\\boxed{}``; group 1 is the answer."""
    json_schema: dict[str, Any] | None = None
    """JSON Schema (draft 2020-12) that an answer must satisfy; others are no vote (``json``)."""
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

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            check_schema(schema)
        return schema

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in extractor_names():
            raise ValueError(f"unknown kind {kind!r}; known: {', '.join(extractor_names())}")
        return kind

    @field_validator("pattern", "json_schema")
    @classmethod
    def _belongs(cls, value: Any, info: ValidationInfo) -> Any:
        # Only what is given is validated: a default never comes here.
        kind = info.data.get("kind")
        wanted = "boxed" if info.field_name == "pattern" else "json"
        if value is not None and kind is not None and kind != wanted:
            raise ValueError(f'has no meaning with answers.kind "{kind}"')
        return value


#: The keys of ``[rewards]`` that mean something to some kinds only.
_REWARD_KINDS: dict[str, tuple[str, ...]] = {
    "model": ("pooling", "remote"),
    "task": ("pooling", "remote"),
    "aggregation": ("pooling", "remote"),
    "step_delimiter": ("pooling", "remote"),
    "step_marker": ("pooling", "remote"),
    "system": ("pooling", "remote"),
    "template": ("pooling", "remote", "verifier"),
    "label": ("pooling", "remote"),
    "activation": ("pooling", "remote"),
    "batch": ("pooling", "remote"),
    "url": ("remote",),
    "api": ("remote",),
    "key_env": ("remote",),
    "connections": ("remote",),
    "retries": ("remote",),
    "timeout": ("remote", "verifier"),
    "yes": ("verifier",),
    "no": ("verifier",),
    "samples": ("verifier",),
    "max_tokens": ("verifier",),
    "dtype": ("pooling",),
    "max_context_tokens": ("pooling",),
    "cache_gib": ("pooling",),
    "gpu_memory_utilization": ("pooling",),
    "tensor_parallel": ("pooling",),
    "eager": ("pooling",),
}


class RewardSettings(_Section):
    """What scores branches, for the strategies that ask for scores."""

    kind: Literal["none", "pooling", "remote", "verifier"] = "none"
    """``pooling``: a reward model on a second vLLM engine in this process; ``remote``: a scoring
    endpoint; ``verifier``: the main engine is asked whether a solution is right."""
    model: str | None = None
    """A model folder (relative to the config file), a hub name, or ``demo-reward``; for ``remote``
    the name that is sent."""
    task: Literal["orm", "prm"] = "orm"
    """``orm``: one score for a text; ``prm``: one for each step, brought together."""
    aggregation: Literal["last", "min", "prod", "mean"] = "last"
    """How the scores of the steps become one (``prm``)."""
    step_delimiter: Annotated[str, Field(min_length=1)] = "\n\n"
    """What ends a step in a branch (``prm``)."""
    step_marker: Annotated[str, Field(min_length=1)] | None = None
    """Takes the delimiter's place, and the score is read there (``prm``; Qwen2.5-Math-PRM:
    ``<extra_0>``). None: it is read at the delimiter."""
    system: str | None = None
    """The reward model's own system message."""
    template: str | None = None
    """A plain text with the places ``{question}`` and ``{text}``, instead of the model's chat
    template; for ``verifier`` the question that is put to the main model."""
    label: int = -1
    """Which class of a model with several stands for "right"; -1: the last."""
    activation: bool = True
    """Whether logits become probabilities. Off for reward models trained on comparisons: their
    logits are an open scale, whose upper end a sigmoid would flatten."""
    batch: PositiveInt = 32
    """Texts that are scored at once."""
    url: str | None = None
    """Of the endpoint, its path included."""
    api: Literal["classify", "pooling", "score", "json"] | None = None
    """What the endpoint speaks: one of vLLM's, or ``json`` (see ``rewards/remote.py``). None: as
    its path says."""
    key_env: str | None = None
    """The environment variable that holds the endpoint's key."""
    connections: PositiveInt = 8
    """To the endpoint, at once."""
    retries: NonNegativeInt = 2
    """After a lost connection or an overloaded endpoint, if the time allows it."""
    timeout: PositiveFloat = 10.0
    """Seconds for one call of the model, its retries included."""
    yes: str = "yes"
    no: str = "no"
    """The words with which the verifier answers."""
    samples: PositiveInt = 4
    """Answers of the verifier where the engine gives no log probabilities."""
    max_tokens: PositiveInt = 8
    """Of one such answer."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_context_tokens: PositiveInt | None = None
    """None: the model's own. Longer texts get no score."""
    cache_gib: PositiveFloat | None = None
    """Size of the KV cache. None: 0.5 GiB on a CPU, 2 GiB on a GPU."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the GPU that must be free when the engine starts; with the main engine's at most 1.
    None: 0.1."""
    tensor_parallel: PositiveInt = 1
    eager: bool | None = None
    """Skip compilation and graphs. None: on a CPU."""

    @field_validator(*_REWARD_KINDS)
    @classmethod
    def _belongs(cls, value: Any, info: ValidationInfo) -> Any:
        # Only what is given is validated: a default never comes here.
        assert info.field_name is not None
        kind = info.data.get("kind")
        if kind is not None and kind not in _REWARD_KINDS[info.field_name]:
            raise ValueError(f'has no meaning with rewards.kind "{kind}"')
        return value

    @field_validator("aggregation", "step_delimiter", "step_marker")
    @classmethod
    def _is_of_steps(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("task") == "orm" and value is not None:
            raise ValueError('has no meaning with rewards.task "orm"')
        return value

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str | None) -> str | None:
        if template is not None and template.count("{text}") != 1:
            raise ValueError("needs the place {text}, once")
        return template

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"https?://[^/\s]+", url):
            raise ValueError("must begin with http:// or https:// and name a host")
        return url

    @field_validator("yes", "no")
    @classmethod
    def _is_a_word(cls, word: str) -> str:
        if not word.strip():
            raise ValueError("must not be blank")
        return word

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "pooling" and self.model is None:
            raise ValueError('kind "pooling" needs rewards.model')
        if self.kind == "remote" and self.url is None:
            raise ValueError('kind "remote" needs rewards.url')
        if self.kind == "verifier" and self.yes.strip().lower() == self.no.strip().lower():
            raise ValueError("rewards.yes and rewards.no must differ")
        if self.kind == "remote" and self.task == "prm" and self.endpoint_api in _ONE_SCORE:
            raise ValueError(
                f'rewards.api "{self.endpoint_api}" gives one score a text: rewards.task "prm" '
                'needs "pooling"'
            )
        return self

    @property
    def endpoint_api(self) -> Literal["classify", "pooling", "score", "json"]:
        """What the endpoint speaks, by ``api`` or by the end of its path."""
        if self.api is not None:
            return self.api
        match (self.url or "").split("?")[0].rstrip("/").rsplit("/", 1)[-1]:
            case "classify":
                return "classify"
            case "pooling":
                return "pooling"
            case "score":
                return "score"
            case _:
                return "json"


_ONE_SCORE = ("classify", "score", "json")


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
    rewards: RewardSettings = RewardSettings()
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
        rewards = self.rewards
        if rewards.kind == "pooling" and rewards.model is not None:
            rewards = rewards.model_copy(update={"model": _resolve(rewards.model, folder)})
        return self.model_copy(update={"engine": engine, "rewards": rewards})


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
