"""``[engine]``: what runs the branches."""

import re
from typing import Annotated, Literal

from pydantic import Discriminator, NonNegativeInt, PositiveInt, Tag, field_validator

from .sections import Branches, Gibibytes, Seconds, Section, Share, Tokens, ToldBy, Unit
from .speculation import NoSpeculation, SpeculationSettings

#: Stands for the model that ships inside the package.
DEMO_MODEL = "demo"
#: Stands for its draft model.
DEMO_DRAFT_MODEL = "demo-draft"
#: Stands for its reward model.
DEMO_REWARD_MODEL = "demo-reward"


class EngineSection(Section):
    """The keys that every kind of engine has."""

    family: str = "auto"
    """The model family whose recommended settings fill in what this file leaves open: ``auto``
    finds it by the model's own files, ``none`` is no family, and a name is one of
    ``configs/families``."""
    max_branches: Branches = 64
    """The number of requests that run on the engine at once; the branches of all races share them,
    and more of them wait, by priority. For ``openai`` it is also the number of connections."""
    max_context_tokens: Tokens | None = None
    """The longest context, prompt and output together. Not set: what the model allows, or for
    ``openai`` what the endpoint says."""
    prefill_tokens_per_step: Tokens | None = None
    """The most prompt tokens that one step of the engine processes; smaller steps make for sharper
    deadlines. Not set: 512 on a CPU, else vLLM's default. For ``openai`` it states what the server
    does, on which the reserve for forced answers depends; not set, that is 2048."""
    cache_block_tokens: Tokens | None = None
    """The size of one block of the KV cache. Not set: 32 on a CPU, so that continuations recompute
    little, else vLLM's default. For ``openai`` it states what the server does; not set, that is
    16."""


class VllmSettings(EngineSection):
    """vLLM in this process."""

    kind: Literal["vllm"] = "vllm"
    """The kind of engine: ``vllm`` runs in this process; ``openai`` is any OpenAI-compatible
    endpoint, best a vLLM server (``runtime/engines/openai/engine.py`` says what is exact with
    which)."""
    model: str = DEMO_MODEL
    """The model: a folder (relative to the config file), a hub name, or ``demo`` for the one that
    ships in the package."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """The number format of weights and activations; ``auto`` is the one the model was saved in."""
    cache_gib: Gibibytes | None = None
    """The size of the KV cache. Not set: 1 GiB on a CPU, else what vLLM finds free."""
    gpu_memory_utilization: Share | None = None
    """The share of the GPU's memory that vLLM may fill with weights and KV cache. Not set: vLLM's
    default."""
    tensor_parallel: Annotated[PositiveInt, Unit("GPUs")] = 1
    """The number of GPUs over which every layer of the model is split."""
    eager: bool | None = None
    """Whether compilation and CUDA graphs are skipped: the engine starts sooner and steps slower.
    Not set: only on a CPU."""
    shutdown_timeout: Annotated[NonNegativeInt, Unit("seconds")] = 0
    """The time that running requests get when the engine is told to end."""
    stall_limit: Seconds = 10.0
    """The time without a step, while requests run, after which the engine hangs: it is killed and
    started again. Where slow steps take more than a twentieth of it, it is twenty of those."""
    restarts: Annotated[NonNegativeInt, Unit("starts")] = 5
    """How many starts in a row may fail before no more are tried; an engine that dies within half a
    minute of its start counts as one. 0: an engine that dies or hangs is not started again."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "ERROR"
    """The least severe lines of vLLM's own log that are written, to standard error; a reward
    model's engine shares it."""
    speculation: SpeculationSettings = NoSpeculation()
    """How draft tokens are made, which the model verifies several at a step; the distribution of
    the output stays as it is."""


class OpenAISettings(EngineSection):
    """An OpenAI-compatible endpoint."""

    kind: Literal["openai"] = "openai"
    """The kind of engine: ``vllm`` runs in this process; ``openai`` is any OpenAI-compatible
    endpoint, best a vLLM server (``runtime/engines/openai/engine.py`` says what is exact with
    which)."""
    model: str = ""
    """The name of the model that the endpoint is sent. Empty: the first one it names itself."""
    url: str
    """The address of the endpoint, as OpenAI's clients take it (``https://host/v1``); of a host
    alone, ``/v1`` is understood."""
    key_env: str | None = None
    """The environment variable that holds the endpoint's key. Not set: no key is sent."""
    connect_timeout: Seconds = 2.0
    """The time in which the endpoint's host must be reached."""
    tokenizer: str | None = None
    """The tokenizer that prompts are made into tokens with: a folder (relative to the config file)
    or a hub name; it needs the transformers library. Not set: the endpoint's own, or none if it
    has no ``/tokenize``."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", url):
            raise ValueError(
                "must begin with http:// or https:// and name a host, without a query or a "
                "password (engine.key_env is for keys)"
            )
        return url

    @property
    def speculation(self) -> NoSpeculation:
        """None of ours: an endpoint speculates as its own configuration says."""
        return NoSpeculation()


#: What runs the branches, told by ``kind``.
EngineSettings = Annotated[
    Annotated[VllmSettings, Tag("vllm")] | Annotated[OpenAISettings, Tag("openai")],
    Discriminator(ToldBy("kind", "vllm")),
]
