"""Corrects speculative sampling on vLLM's CPU backend (vLLM issue 55005).

Without Triton, vLLM's CPU stand-in for ``expand_kernel`` writes into a temporary copy of its
output whenever the tensor is not int64. Temperatures are floats, so the rejection sampler divides
the logits by uninitialised memory: at temperatures above 0 speculation gives garbled text.

``register`` is a ``vllm.general_plugins`` entry point, which vLLM calls in every process that it
starts. It replaces that one function, and only where it finds the fault by trying it: GPUs, Triton
and fixed versions are left alone.
"""

from typing import Any


def register() -> None:
    """Put the corrected function in place if vLLM's own fails its test. Safe to call twice."""
    try:
        from vllm.triton_utils import HAS_TRITON
        from vllm.v1.sample import rejection_sampler
    except ImportError:
        return  # another vLLM: nothing known to correct
    if HAS_TRITON or not hasattr(rejection_sampler, "_expand"):
        return
    if _is_wrong(rejection_sampler.expand_batch_to_tokens):
        rejection_sampler._expand = expand


def expand(
    output: Any, input: Any, cu_num_tokens: Any, replace_from: float, replace_to: float
) -> None:
    """Write ``input[i]`` to the tokens of request i, with ``replace_from`` replaced.

    Args:
        output: (num_tokens,), any dtype; written in place.
        input: (batch_size,), the same dtype.
        cu_num_tokens: (batch_size,) cumulative number of tokens.
    """
    import torch

    values = torch.where(input == replace_from, torch.full_like(input, replace_to), input)
    counts = torch.diff(cu_num_tokens, prepend=cu_num_tokens.new_zeros(1))
    output.copy_(torch.repeat_interleave(values, counts.long()))


def _is_wrong(expand_batch_to_tokens: Any) -> bool:
    import torch

    values = torch.tensor([0.5, 0.0, 2.0])
    ends = torch.tensor([2, 3, 6], dtype=torch.int32)
    expected = torch.tensor([0.5, 0.5, 1.0, 2.0, 2.0, 2.0])
    try:
        return not torch.equal(expand_batch_to_tokens(values, ends, 6, 0, 1), expected)
    except Exception:  # noqa: BLE001 - whatever it raises, it cannot be used
        return True
