"""The in-process vLLM engine: ``AsyncLLM``, whose core runs in child processes. It is started with
what the race relies on (see ``on_client``), and with priority scheduling by deadline."""

import gc
import time
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import structlog

from ...config import DEMO_MODELS, PromptSettings, ThinkingSettings, VllmSettings
from ...errors import EngineDead, EngineStartError
from ..model_names import model_name
from .imports import import_vllm
from .likelihood_check import likelihoods_hold
from .on_client import EngineOnClient, set_heap_aside
from .prompt_characters import correct_prompt_ends
from .reasoning import reasoning_arguments
from .speculative_config import check_speculation, speculation_arguments
from .start import (
    StartedVllm,
    build,
    check_model,
    cpu_cache_gib,
    model_folder,
    require_vllm,
    set_environment,
    start_error,
)

_log = structlog.get_logger("frontrunner.engine")


def check_model_folder(settings: VllmSettings) -> None:
    """See that a model given as a folder is there; hub names are vLLM's to check.

    Raises:
        EngineStartError: naming the folder.
    """
    for key, model in (
        ("engine.model", settings.model),
        ("engine.speculation.model", settings.speculation.draft_model),
    ):
        check_model(key, model or "")


class VllmEngine(EngineOnClient):
    """An ``Engine`` on vLLM's ``AsyncLLM``."""

    def __init__(
        self,
        settings: VllmSettings,
        prompt: PromptSettings | None = None,
        thinking: ThinkingSettings | None = None,
    ) -> None:
        """
        Args:
            prompt: of the model's chat template.
            thinking: whose budget vLLM is to keep.

        Raises:
            EngineStartError: vLLM is not installed.
        """
        require_vllm()
        super().__init__(settings.max_branches, prompt)
        self._settings = settings
        self._thinking = thinking or ThinkingSettings()
        self._started: StartedVllm | None = None

    async def start(self) -> None:
        check_model_folder(self._settings)
        check_speculation(self._settings.speculation)
        offline = self._settings.model in DEMO_MODELS
        set_environment(self._settings.log_level, offline=offline)
        began = time.monotonic()
        try:
            # Building the engine takes seconds and blocks; it waits for its child processes.
            self._started = await anyio.to_thread.run_sync(self._build)
            self._run_on(self._started.llm)
            name = model_name(self._settings.model)
            self._info = self._describe(self._started.llm, name, logprobs=True)
            await self._warm_up()
            if self._settings.speculation.method != "none":
                self._info = replace(self._info, logprobs=await likelihoods_hold(self))
            set_heap_aside()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, EngineStartError) or not isinstance(error, Exception):
                raise
            raise start_error(self._settings.model, error) from error
        _log.info("frontrunner.engine_started", seconds=round(time.monotonic() - began, 2))

    async def aclose(self) -> None:
        self._let_go()
        started, self._started = self._started, None
        if started is not None:
            await started.shut_down()
            gc.unfreeze()

    @property
    def steps(self) -> int:
        """Steps of the engine since its start, as far as they were told of."""
        return self._stats.count

    def kill(self, why: str) -> None:
        """Kill the engine's processes. All that runs ends with ``EngineDead`` at once, which is
        what ``failure`` is from now on; ``aclose`` frees the rest."""
        if self._started is not None:
            self._failure = EngineDead(why)
            self._started.processes.kill()
            self._started.fail_requests()

    def _build(self) -> StartedVllm:
        import_vllm()
        from vllm.platforms import current_platform

        correct_prompt_ends()
        on_cpu = current_platform.is_cpu()
        arguments = engine_arguments(self._settings, on_cpu=on_cpu)
        arguments |= reasoning_arguments(self._thinking)
        return build(arguments, [self._stats.logger])


def engine_arguments(settings: VllmSettings, *, on_cpu: bool) -> dict[str, Any]:
    """vLLM's arguments for ``settings``; what a setting leaves open follows the hardware."""
    arguments: dict[str, Any] = {
        "model": model_folder(settings.model),
        "dtype": settings.dtype,
        "max_num_seqs": settings.max_branches,
        "max_model_len": settings.max_context_tokens,
        "max_num_batched_tokens": settings.prefill_tokens_per_step or (512 if on_cpu else None),
        "block_size": settings.cache_block_tokens or (32 if on_cpu else None),
        "kv_cache_memory_bytes": _cache_bytes(settings, on_cpu),
        "tensor_parallel_size": settings.tensor_parallel,
        "enforce_eager": settings.eager if settings.eager is not None else on_cpu,
        "shutdown_timeout": settings.shutdown_timeout,
        "scheduling_policy": "priority",
        "enable_prefix_caching": True,
        "generation_config": "vllm",  # sampling is ours to say, not the model folder's
        "disable_log_stats": True,  # vLLM's own loggers; ours is passed beside them
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        **speculation_arguments(settings.speculation),
    }
    return {key: value for key, value in arguments.items() if value is not None}


def _cache_bytes(settings: VllmSettings, on_cpu: bool) -> int | None:
    gib = cpu_cache_gib(settings) if on_cpu else settings.cache_gib
    return int(gib * 2**30) if gib is not None else None
