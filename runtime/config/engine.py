"""``[engine]``: what runs the branches."""

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
from .speculation import SpeculationSettings

#: Stands for the model that ships inside the package.
DEMO_MODEL = "demo"
#: Stands for its draft model.
DEMO_DRAFT_MODEL = "demo-draft"
#: Stands for its reward model.
DEMO_REWARD_MODEL = "demo-reward"


#: The keys of ``[engine]`` that mean something to one kind only.
_ENGINE_KINDS: dict[str, str] = {
    "dtype": "vllm",
    "cache_gib": "vllm",
    "gpu_memory_utilization": "vllm",
    "tensor_parallel": "vllm",
    "eager": "vllm",
    "shutdown_timeout": "vllm",
    "log_level": "vllm",
    "speculation": "vllm",
    "url": "openai",
    "key_env": "openai",
    "connect_timeout": "openai",
    "tokenizer": "openai",
}


class EngineSettings(Section):
    """What runs the branches: vLLM in this process, or an endpoint elsewhere."""

    kind: Literal["vllm", "openai"] = "vllm"
    """``vllm``: in this process; ``openai``: any OpenAI-compatible endpoint, best a vLLM server
    (``engines/openai.py`` says what is exact with which)."""
    model: str = DEMO_MODEL
    """A model folder (relative to the config file), a hub name, or ``demo``; for ``openai`` the
    name that is sent, and if none is given the first that the endpoint names."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_branches: PositiveInt = 64
    """Requests that run at once; branches of all races share them. For ``openai`` also the number
    of connections: more requests wait here, by priority."""
    max_context_tokens: PositiveInt | None = None
    """None: the model's own, or what the endpoint says."""
    prefill_tokens_per_step: PositiveInt | None = None
    """Smaller steps make for sharper deadlines. None: 512 on a CPU, else vLLM's default. For
    ``openai`` what the server does, of which the reserve for forced answers depends; None: 2048."""
    cache_block_tokens: PositiveInt | None = None
    """None: 32 on a CPU (so that continuations recompute little), else vLLM's default. For
    ``openai`` what the server does; None: 16."""
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
    url: str | None = None
    """Of the endpoint, as OpenAI's clients take it (``https://host/v1``); of a host alone, ``/v1``
    is understood."""
    key_env: str | None = None
    """The environment variable that holds the endpoint's key."""
    connect_timeout: PositiveFloat = 2.0
    """Seconds to reach the endpoint's host."""
    tokenizer: str | None = None
    """A tokenizer folder (relative to the config file) or hub name, for ``openai``; needs the
    transformers library. None: the endpoint's own, or none if it has no ``/tokenize``."""

    @model_validator(mode="before")
    @classmethod
    def _no_demo_elsewhere(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("kind") == "openai":
            return {"model": "", **data}
        return data

    @field_validator(*_ENGINE_KINDS)
    @classmethod
    def _belongs(cls, value: Any, info: ValidationInfo) -> Any:
        # Only what is given is validated: a default never comes here.
        assert info.field_name is not None
        kind = info.data.get("kind")
        if kind is not None and kind != _ENGINE_KINDS[info.field_name]:
            raise ValueError(f'has no meaning with engine.kind "{kind}"')
        return value

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", url):
            raise ValueError(
                "must begin with http:// or https:// and name a host, without a query or a "
                "password (engine.key_env is for keys)"
            )
        return url

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind == "openai" and self.url is None:
            raise ValueError('kind "openai" needs engine.url')
        return self
