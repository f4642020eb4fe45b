"""``[rewards]``: what scores branches."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .sections import Section

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


class RewardSettings(Section):
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
