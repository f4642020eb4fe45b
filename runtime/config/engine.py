"""``[engine]``: what runs the branches, and how it speculates."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from .sections import Section

#: Stands for the model that ships inside the package.
DEMO_MODEL = "demo"
#: Stands for its draft model.
DEMO_DRAFT_MODEL = "demo-draft"
#: Stands for its reward model.
DEMO_REWARD_MODEL = "demo-reward"


class SpeculationSettings(Section):
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


class EngineSettings(Section):
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
