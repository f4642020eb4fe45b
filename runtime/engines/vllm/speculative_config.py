"""What vLLM is told about speculation, and which settings it would die of."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

from ...config import NoSpeculation, SpeculationSettings
from ...config.speculation import CrossBranchSpeculation, NgramSpeculation, SuffixSpeculation
from ...drafting import PROPOSER, SETTINGS_KEY
from ...errors import EngineStartError
from .start import model_folder

#: Only vLLM's first model runner has these.
_V1_RUNNER: Final = ("suffix", "cross_branch")


def check_speculation(
    settings: SpeculationSettings, environment: Mapping[str, str] = os.environ
) -> None:
    """See that the method can run here.

    Raises:
        EngineStartError: naming the setting and what to do.
    """
    method = settings.method
    if method == "suffix" and find_spec("arctic_inference") is None:
        raise EngineStartError(
            'engine.speculation.method: "suffix" needs arctic-inference, which is not installed: '
            "pip install arctic-inference==0.1.1 (it is built from source and needs cmake), or "
            'take "cross_branch", which needs nothing'
        )
    if method == "cross_branch" and find_spec("numba") is None:
        raise EngineStartError(
            'engine.speculation.method: "cross_branch" needs numba, which is not installed: '
            "pip install numba"
        )
    if method in _V1_RUNNER and environment.get("VLLM_USE_V2_MODEL_RUNNER", "0") not in ("", "0"):
        raise EngineStartError(
            f'engine.speculation.method: "{method}" runs on vLLM\'s V1 model runner only, and '
            "VLLM_USE_V2_MODEL_RUNNER asks for the other: unset it"
        )


def speculation_arguments(settings: SpeculationSettings) -> dict[str, Any]:
    """vLLM's ``speculative_config`` and whatever else the method needs; empty for none."""
    if isinstance(settings, NoSpeculation):
        return {}
    config: dict[str, Any] = {
        "method": settings.method,
        "num_speculative_tokens": settings.most_tokens,
    }
    schedule = [list(entry) for entry in settings.schedule]
    if schedule and settings.method != "cross_branch":
        config["num_speculative_tokens_per_batch_size"] = schedule
    if settings.draft_model is not None:
        config["model"] = model_folder(settings.draft_model)
    match settings:
        case NgramSpeculation():
            config |= {
                "prompt_lookup_min": settings.ngram_min,
                "prompt_lookup_max": settings.ngram_max,
            }
        case SuffixSpeculation():
            config |= {
                "suffix_decoding_max_tree_depth": settings.suffix_depth,
                "suffix_decoding_max_cached_requests": settings.suffix_cached_requests,
                "suffix_decoding_max_spec_factor": settings.suffix_factor,
                "suffix_decoding_min_token_prob": settings.min_probability,
            }
        case CrossBranchSpeculation():
            config |= {"method": "custom_class", "model": PROPOSER}
            # vLLM does not tell a custom class what K is scheduled: it keeps the schedule itself.
            drafting = {
                "longest_match": settings.longest_match,
                "min_probability": settings.min_probability,
                "token_cost": settings.token_cost,
                "earlier_races": settings.earlier_races,
                "memory_mib": settings.memory_mib,
                "tokens_per_batch_size": schedule,
            }
            return {"speculative_config": config, "additional_config": {SETTINGS_KEY: drafting}}
        case _:
            pass
    return {"speculative_config": config}
