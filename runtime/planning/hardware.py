"""Models and GPUs by their published figures, and the step time that follows from them.

A model, not a measurement: what ``StepTime`` gives for figures from data sheets. The share of the
peak that is reached and the time outside the model are assumptions, and named as such.

Sources:

- Qwen2.5-3B-Instruct, Qwen2.5-32B-Instruct and Qwen2.5-0.5B-Instruct: ``config.json`` and model
  cards on huggingface.co/Qwen (parameters without and with embeddings, layers, heads of keys and
  values; the head's size is ``hidden_size / num_attention_heads``).
- NVIDIA H100 SXM (80 GB HBM3, 3.35 TB/s, 989.4 TFLOP/s in dense bfloat16) and H200 SXM (141 GB
  HBM3e, 4.8 TB/s, the same arithmetic): NVIDIA's data sheets for the H100 and the H200.
"""

from dataclasses import dataclass

from ..cost_model.step_time import StepTime

#: Shares of the peaks that a decode step is taken to reach. Assumed.
_MEMORY_REACHED = 0.75
_COMPUTE_REACHED = 0.6
#: Seconds of a step outside the model (scheduling, launches, sampling), and of each branch.
#: Assumed.
_STEP_OVERHEAD = 1.5e-3
_ROW_OVERHEAD = 10e-6


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A decoder with grouped-query attention."""

    name: str
    parameters: float
    """All of them."""
    hidden: int
    layers: int
    kv_heads: int
    head: int
    """Size of a head."""
    weight_bytes: float = 2.0
    """Of a parameter."""
    cache_bytes: float = 2.0
    """Of a number in the KV cache."""

    @property
    def kv_bytes(self) -> float:
        """Of one token's keys and values in all layers."""
        return 2 * self.layers * self.kv_heads * self.head * self.cache_bytes


@dataclass(frozen=True, slots=True)
class Hardware:
    """A GPU."""

    name: str
    bandwidth: float  # bytes per second
    flops: float  # per second, dense, of the weights' type
    memory: float  # bytes


QWEN_0_5B = ModelShape("Qwen2.5-0.5B", 0.494e9, 896, 24, 2, 64)
QWEN_3B = ModelShape("Qwen2.5-3B", 3.09e9, 2048, 36, 2, 128)
QWEN_32B = ModelShape("Qwen2.5-32B", 32.8e9, 5120, 64, 8, 128)
H100 = Hardware("H100 SXM", 3.35e12, 989.4e12, 80e9)
H200 = Hardware("H200 SXM", 4.8e12, 989.4e12, 141e9)
SHAPES = {shape.name.lower(): shape for shape in (QWEN_0_5B, QWEN_3B, QWEN_32B)}
HARDWARE = {"h100": H100, "h200": H200}


def modelled_step_time(
    model: ModelShape, hardware: Hardware, draft: ModelShape | None = None
) -> StepTime:
    """The roofline of ``model`` on ``hardware``; ``draft`` is a draft model beside it.

    A token costs two operations for each parameter, as usual; attention's own are left out, since
    they are small against reading its keys and values.
    """
    bandwidth = _MEMORY_REACHED * hardware.bandwidth
    flops = _COMPUTE_REACHED * hardware.flops
    return StepTime(
        constant=_STEP_OVERHEAD,
        weights=model.weight_bytes * model.parameters / bandwidth,
        context=model.kv_bytes / bandwidth,
        row=_ROW_OVERHEAD,
        token=2 * model.parameters / flops,
        draft=0.0 if draft is None else draft.weight_bytes * draft.parameters / bandwidth,
        draft_token=0.0 if draft is None else 2 * draft.parameters / flops,
    )


def cache_tokens(model: ModelShape, hardware: Hardware, utilisation: float = 0.9) -> int:
    """Tokens whose keys and values fit beside the weights; 0: not even those fit."""
    free = utilisation * hardware.memory - model.weight_bytes * model.parameters
    return max(0, int(free / model.kv_bytes))
