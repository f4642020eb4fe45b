"""Corrects four faults of vLLM's CPU backend, in every process that vLLM starts.

**Speculative sampling** (vLLM issue 55005). Without Triton, vLLM's CPU stand-in for
``expand_kernel`` writes into a temporary copy of its output whenever the tensor is not int64.
Temperatures are floats, so the rejection sampler divides the logits by uninitialised memory: at
temperatures above 0 speculation gives garbled text.

**Seeds and chunked prefill.** A token that is sampled after only a part of a prompt is thrown away,
and vLLM winds the request's random generator back by an offset. A CPU generator has none: it raises
``CPU Generator does not use offset``, and one seeded request whose prompt does not fit into its
first step ends the engine.

**AMX without leave.** On processors with AMX vLLM's attention uses its tile registers for bfloat16,
and a process may touch those only after it has asked the kernel (``arch_prctl``): otherwise its
worker dies of an illegal instruction in its first step. Whether something else in the process asked
before is a matter of luck.

**Ranks that are compiled for seconds.** The first request for log probabilities makes vLLM compile
the function that counts ranks, a comparison and a sum; all requests wait meanwhile. Here it is not
compiled.

``register`` is a ``vllm.general_plugins`` entry point. It replaces a function only where it finds
the fault by trying it: GPUs, Triton and fixed versions are left alone.
"""

from functools import wraps
from typing import Any


def register() -> None:
    """Put the corrections in place where they are needed. Safe to call twice."""
    _correct_speculation()
    _correct_seeds()
    _ask_for_amx()
    _leave_ranks_uncompiled()


def _leave_ranks_uncompiled() -> None:
    try:
        from vllm.platforms import current_platform
        from vllm.v1.sample import sampler
    except ImportError:
        return  # another vLLM: nothing known to correct
    counting = getattr(sampler, "batched_count_greater_than", None)
    plain = getattr(counting, "_torchdynamo_orig_callable", None)
    if plain is not None and current_platform.is_cpu():
        setattr(sampler, "batched_count_greater_than", plain)  # noqa: B010 - private to vLLM


def _correct_speculation() -> None:
    try:
        from vllm.triton_utils import HAS_TRITON
        from vllm.v1.sample import rejection_sampler
    except ImportError:
        return  # another vLLM: nothing known to correct
    if HAS_TRITON or not hasattr(rejection_sampler, "expand_batch_to_tokens"):
        return
    if _expands_wrongly(rejection_sampler.expand_batch_to_tokens):
        rejection_sampler.expand_batch_to_tokens = expand_batch_to_tokens


def expand_batch_to_tokens(
    x: Any, cu_num_tokens: Any, num_tokens: int, replace_from: int = 0, replace_to: int = 0
) -> Any:
    """``x[i]`` once for each token of request i, with ``replace_from`` replaced.

    Args:
        x: (batch_size,) tensor of any dtype.
        cu_num_tokens: (batch_size,) cumulative number of tokens; the last is ``num_tokens``.

    Returns:
        (num_tokens,) tensor of the same dtype.
    """
    import torch

    values = torch.where(x == replace_from, torch.full_like(x, replace_to), x)
    counts = torch.diff(cu_num_tokens, prepend=cu_num_tokens.new_zeros(1))
    return torch.repeat_interleave(values, counts.long(), output_size=num_tokens)


def _expands_wrongly(candidate: Any) -> bool:
    import torch

    values = torch.tensor([0.5, 0.0, 2.0])
    ends = torch.tensor([2, 3, 6], dtype=torch.int32)
    expected = torch.tensor([0.5, 0.5, 1.0, 2.0, 2.0, 2.0])
    try:
        return not torch.equal(candidate(values, ends, 6, 0, 1), expected)
    except Exception:  # noqa: BLE001 - whatever it raises, it cannot be used
        return True


def _ask_for_amx() -> None:
    """Ask for the use of AMX, and let vLLM do without where it is refused."""
    import torch

    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    ask = getattr(torch.cpu, "_init_amx", None)
    if supported is None or not supported() or (ask is not None and ask()):
        return
    setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)  # noqa: B010 - private to PyTorch


def _correct_seeds() -> None:
    import torch

    try:
        from vllm.v1.worker.cpu_model_runner import CPUModelRunner
    except Exception:  # noqa: BLE001 - a vLLM without, or whose CPU parts cannot be imported here
        return
    original = getattr(CPUModelRunner, "_bookkeeping_sync", None)
    if original is None or hasattr(original, "__wrapped__") or _has_offsets(torch.Generator()):
        return

    @wraps(original)
    def keeping_books(runner: Any, *args: Any, **kwargs: Any) -> Any:
        with_generators = runner.input_batch.generators
        taken = wind_back(runner)
        try:
            return original(runner, *args, **kwargs)
        finally:
            with_generators.update(taken)

    setattr(CPUModelRunner, "_bookkeeping_sync", keeping_books)  # noqa: B010 - private to vLLM


def wind_back(runner: Any) -> dict[int, Any]:
    """Undo the draws for tokens that this step throws away.

    Takes the generators of those rows (index in the batch → generator) out of the batch, so that
    vLLM does not try it itself; the caller puts them back. A request without output has drawn for
    nothing else, so it starts again from its seed. One that was preempted later keeps its state:
    its draws go on, and only repeatability under memory pressure is lost.
    """
    batch = runner.input_batch
    discarded = runner.discard_request_mask.np[: batch.num_reqs].nonzero()[0]
    taken: dict[int, Any] = {}
    for row in map(int, discarded):
        generator = batch.generators.pop(row, None)
        if generator is not None:
            taken[row] = generator
            if not runner.requests[batch.req_ids[row]].output_token_ids:
                generator.manual_seed(generator.initial_seed())
    return taken


def _has_offsets(generator: Any) -> bool:
    try:
        generator.get_offset()
    except RuntimeError:
        return False
    return True
