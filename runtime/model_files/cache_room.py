"""Whether a model's context fits into the KV cache that vLLM has on a CPU.

On a GPU vLLM measures what is free; on a CPU the cache has a size that the settings give, and an
engine whose longest context does not fit into it does not start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from ..config import VllmSettings
from .inspection import ModelFiles

#: Of the KV cache on a CPU where ``engine.cache_gib`` is not set, at most.
DEFAULT_CACHE_GIB: Final = 1.0
#: How many times the longest contexts of all branches are kept then: once for those that run, and
#: as much again for what later requests share with them.
_KEPT: Final = 2
#: Steps in which that is rounded up, a GiB.
_STEPS: Final = 64
_GIB: Final = 2**30
_NUMBER_BYTES: Final = {"float32": 4}
#: A context that is proposed is a multiple of this.
_ROUND: Final = 256


@dataclass(frozen=True, slots=True)
class CacheRoom:
    """The KV cache, and what it is to hold."""

    context: int
    """The longest context, in tokens."""
    context_bytes: int
    """What one such context takes at least."""
    token_bytes: int
    """What a token takes in all layers."""
    cache_gib: float

    @property
    def tokens(self) -> int:
        """That it holds, of all branches together."""
        return int(self.cache_gib * _GIB / self.token_bytes)

    @property
    def fits(self) -> bool:
        """Whether one longest context fits: without that vLLM does not start."""
        return self.context_bytes <= self.cache_gib * _GIB

    @property
    def problem(self) -> str:
        """What is wrong where it does not fit."""
        return (
            f"one context of {self.context:,} tokens takes {self.context_bytes / _GIB:.1f} GiB of "
            f"KV cache, which has {self.cache_gib:g} GiB on this CPU"
        )

    @property
    def advice(self) -> str:
        """Which keys to set, and to what."""
        share = self.cache_gib * _GIB / self.context_bytes
        least = max(_ROUND, int(0.9 * share * self.context) // _ROUND * _ROUND)
        size = ceil(self.context_bytes / _GIB * 1.05 * 4) / 4
        return (
            f"set engine.max_context_tokens to {least} or less, or engine.cache_gib to {size:g} "
            "or more"
        )


def cache_room(engine: VllmSettings, files: ModelFiles) -> CacheRoom | None:
    """The room in the KV cache on a CPU; None: the model's files do not say what a token takes."""
    a_token = files.cache_bytes_per_token
    context = engine.max_context_tokens or files.context_tokens
    if a_token is None or context is None:
        return None
    saved = files.dtype if engine.dtype == "auto" else engine.dtype
    a_token = a_token * _NUMBER_BYTES.get(saved or "", 2) // 2
    gib = engine.cache_gib or _default_gib(engine, a_token * context)
    return CacheRoom(context, int(a_token * context * _full_share(files, context)), a_token, gib)


def _default_gib(engine: VllmSettings, a_context: int) -> float:
    """What is enough for an engine whose longest context takes ``a_context`` bytes. vLLM clears all
    of it at its start, which takes seconds a GiB on some machines."""
    models = 2 if engine.speculation.method == "draft_model" else 1
    enough = models * _KEPT * engine.max_branches * a_context
    return min(DEFAULT_CACHE_GIB, ceil(enough / _GIB * _STEPS) / _STEPS)


def _full_share(files: ModelFiles, context: int) -> float:
    """What share of the layers' tokens must be kept: layers with a sliding window keep the window
    only."""
    config = files.text_config
    kinds, window = config.get("layer_types"), config.get("sliding_window")
    if not isinstance(kinds, Sequence) or isinstance(kinds, str) or not kinds:
        return 1.0
    if type(window) is not int or window <= 0:
        return 1.0
    full = sum(kind == "full_attention" for kind in kinds) / len(kinds)
    return full + (1 - full) * min(1.0, window / context)
