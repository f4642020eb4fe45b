"""The in-process vLLM engine: ``AsyncLLM``, whose core runs in child processes.

What the race relies on: one request per branch (never ``n > 1``: those share one stream and one
abort), ``DELTA`` outputs with exact token ids, prefix caching (a continuation recomputes at most
one cache block), priority scheduling by deadline, and aborts of many ids in one message.
"""

import gc
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import structlog

from ...config import DEMO_MODEL, VllmSettings
from ...errors import EngineClosed, EngineDead, EngineError, EngineStartError
from ..logprobs import ScoredChunk
from ..next_tokens import vllm_next_tokens
from ..openai.tokens import LocalTokenizer
from ..protocol import (
    Chunk,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    Sampling,
    StepTimes,
    TokenTimes,
)
from .logprobs import TokenTexts, vllm_scored
from .speculation import check_speculation, speculation_arguments
from .start import (
    build,
    check_model,
    first_line,
    model_folder,
    require_vllm,
    set_environment,
    shut_down,
    start_error,
)

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.outputs import RequestOutput
    from vllm.v1.engine.async_llm import AsyncLLM

_log = structlog.get_logger("frontrunner.engine")

_FINISHES = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "abort": FinishReason.ABORT,
}
#: A pause longer than this between two engine outputs is idleness, not a step.
_MAX_STEP = 2.0


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


class VllmEngine:
    """An ``Engine`` on vLLM's ``AsyncLLM``."""

    def __init__(self, settings: VllmSettings) -> None:
        require_vllm()
        self._settings = settings
        self._llm: AsyncLLM | None = None
        self._info: EngineInfo | None = None
        self._stats = _Stats()
        self._local: LocalTokenizer | None = None  # of ``_llm``
        self._token_texts: TokenTexts | None = None  # likewise
        self._failure: EngineError | None = EngineClosed("the vLLM engine is not running")

    # ── life ──────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        check_model_folder(self._settings)
        check_speculation(self._settings.speculation)
        offline = self._settings.model == DEMO_MODEL
        set_environment(self._settings.log_level, offline=offline)
        began = time.monotonic()
        try:
            # Building the engine takes seconds and blocks; it waits for its child processes.
            self._llm = await anyio.to_thread.run_sync(self._build)
            self._failure = None
            self._info = self._describe(self._llm)
            await self._warm_up()
            _set_heap_aside()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, EngineStartError) or not isinstance(error, Exception):
                raise
            raise start_error(self._settings.model, error) from error
        _log.info("frontrunner.engine_started", seconds=round(time.monotonic() - began, 2))

    async def aclose(self) -> None:
        llm, self._llm, self._local, self._token_texts = self._llm, None, None, None
        self._failure = EngineClosed("the vLLM engine is not running")
        if llm is not None:
            await shut_down(llm)
            gc.unfreeze()

    def _build(self) -> "AsyncLLM":
        from vllm.platforms import current_platform

        arguments = engine_arguments(self._settings, on_cpu=current_platform.is_cpu())
        return build(arguments, [self._stats.logger])

    def _describe(self, llm: "AsyncLLM") -> EngineInfo:
        config = llm.vllm_config
        return EngineInfo(
            name="vllm",
            model=self._settings.model,
            max_context_tokens=config.model_config.max_model_len,
            max_branches=self._settings.max_branches,
            prefill_tokens_per_step=config.scheduler_config.max_num_batched_tokens,
            cache_block_tokens=config.cache_config.block_size or 16,
            seeded=True,
            # With speculation vLLM's were wrong, or missing, in several releases.
            logprobs=self._settings.speculation.method == "none",
        )

    async def _warm_up(self) -> None:
        """Run a full batch, so that no race pays for first-time compilation and step times at
        load are known from the start."""
        prompt = self.encode_chat([{"role": "user", "content": "Count from one to ten."}])
        sampling = Sampling(temperature=1.0)

        async def run(index: int) -> None:
            request = Generation(f"warm-up-{index}", prompt, 24, sampling, branch=index)
            async with aclosing(self.generate(request)) as chunks:
                async for _ in chunks:
                    pass

        await run(0)
        self._stats.steps, self._stats.tokens = StepTimes(), TokenTimes()
        if self.info.logprobs:
            # Likewise what they need: others would wait for it.
            asked = Generation("warm-up-scored", prompt, 1, Sampling(logprobs=1))
            async with aclosing(self.scored(asked, prompt=True)) as scored:
                async for _ in scored:
                    pass
        async with anyio.create_task_group() as tasks:
            for index in range(min(16, self._settings.max_branches)):
                tasks.start_soon(run, index)

    @property
    def llm(self) -> "AsyncLLM":
        """vLLM's own object, for what this protocol leaves out.

        Raises:
            EngineClosed: while the engine is not running.
        """
        if self._llm is None:
            raise EngineClosed("the vLLM engine is not running")
        return self._llm

    # ── serving ───────────────────────────────────────────────────────────────────────────────

    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            raise EngineClosed("the vLLM engine is not running")
        return self._info

    @property
    def failure(self) -> EngineError | None:
        if self._failure is None and self._llm is not None and self._llm.errored:
            self._failure = EngineDead("the vLLM engine died; its log says why")
        return self._failure

    def encode(self, text: str) -> tuple[int, ...]:
        return self._tokenizer.encode(text, self.info.max_context_tokens)

    def encode_chat(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[int, ...]:
        return self.encode(self._tokenizer.chat_text(messages, tools))

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        from vllm import TokensPrompt
        from vllm.v1.engine.exceptions import EngineDeadError

        if self.failure is not None or self._llm is None:
            raise self.failure or EngineClosed("the vLLM engine is not running")
        try:
            outputs = self._llm.generate(
                TokensPrompt(prompt_token_ids=list(request.prompt)),
                _sampling_params(request),
                request.request_id,
                priority=request.priority,
            )
            async with aclosing(outputs):
                async for output in outputs:
                    yield _chunk(output)
        except EngineDeadError as error:
            raise EngineDead("the vLLM engine died; its log says why") from error
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"vLLM lost the request: {first_line(error)}") from error

    async def next_tokens(
        self, prompt: Sequence[int], k: int, *, request_id: str, priority: int = 0
    ) -> Sequence[tuple[str, float]]:
        """The ``k`` most likely next tokens (see ``SupportsNextTokens``)."""
        from vllm.v1.engine.exceptions import EngineDeadError

        if self.failure is not None or self._llm is None:
            raise self.failure or EngineClosed("the vLLM engine is not running")
        try:
            return await vllm_next_tokens(self._llm, prompt, k, request_id, priority)
        except EngineDeadError as error:
            raise EngineDead("the vLLM engine died; its log says why") from error
        except Exception as error:
            raise EngineError(f"vLLM lost the request: {first_line(error)}") from error

    async def scored(
        self, request: Generation, *, prompt: bool = False
    ) -> AsyncGenerator[ScoredChunk, None]:
        """Log probabilities (see ``SupportsLogprobs``)."""
        from vllm.v1.engine.exceptions import EngineDeadError

        if self.failure is not None or self._llm is None:
            raise self.failure or EngineClosed("the vLLM engine is not running")
        try:
            async with aclosing(
                vllm_scored(self._llm, request, self._texts, prompt=prompt)
            ) as chunks:
                async for chunk in chunks:
                    yield chunk
        except EngineDeadError as error:
            raise EngineDead("the vLLM engine died; its log says why") from error
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"vLLM lost the request: {first_line(error)}") from error

    async def abort(self, request_ids: Sequence[str]) -> None:
        if self._llm is None or not request_ids:
            return
        try:
            await self._llm.abort(list(request_ids))
        except Exception as error:
            raise EngineError(f"vLLM did not take the abort: {first_line(error)}") from error

    def load(self) -> EngineLoad:
        unfinished = self._llm.get_num_unfinished_requests() if self._llm is not None else 0
        running = min(unfinished, self._settings.max_branches)
        return EngineLoad(
            running=running,
            waiting=unfinished - running,
            cache_usage=self._stats.cache_usage if unfinished else 0.0,
            step_seconds=self._stats.steps.quantile(0.95),
            token_seconds=self._stats.tokens.seconds,
            token_batch=self._stats.tokens.batch,
            acceptance_length=self._stats.acceptance_length,
        )

    def core_report(self) -> EngineLoad:
        """What the engine's core last said of itself. It speaks only while it steps, so an idle
        engine's report is that of its last step; ``load`` is what our side knows."""
        return EngineLoad(
            running=self._stats.running,
            waiting=self._stats.waiting,
            cache_usage=self._stats.cache_usage,
        )

    @property
    def _texts(self) -> TokenTexts:
        if self._token_texts is None:
            self._token_texts = TokenTexts(self.llm.get_tokenizer().decode)
        return self._token_texts

    @property
    def _tokenizer(self) -> LocalTokenizer:
        if self._local is None:
            self._local = LocalTokenizer(self.llm.get_tokenizer())
        return self._local


def _set_heap_aside() -> None:
    """Keep the garbage collector off what importing and starting vLLM has made.

    A full collection walks over all of it and stops the event loop meanwhile: long enough to miss
    a deadline, now and then. vLLM's own server does the same when it starts.
    """
    gc.collect()
    gc.freeze()


class _Stats:
    """What vLLM reports with every output of its core; the time between two is a step."""

    def __init__(self) -> None:
        self.steps = StepTimes()
        self.tokens = TokenTimes()
        self.running = 0
        self.waiting = 0
        self.cache_usage = 0.0
        self._drafts = self._accepted = 0
        self._last = 0.0

    @property
    def acceptance_length(self) -> float | None:
        """Tokens a step, the model's own included, since the start."""
        return 1.0 + self._accepted / self._drafts if self._drafts else None

    def logger(self, vllm_config: Any, engine_index: int = 0) -> Any:
        """A vLLM stat logger that reports to this object."""
        from vllm.v1.metrics.loggers import StatLoggerBase

        stats = self

        class Logger(StatLoggerBase):
            def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
                pass

            def record(
                self,
                scheduler_stats: Any,
                iteration_stats: Any,
                mm_cache_stats: Any = None,
                engine_idx: int = 0,
            ) -> None:
                if scheduler_stats is not None:
                    generated = iteration_stats.num_generation_tokens if iteration_stats else 0
                    stats.take(scheduler_stats, generated)

            def log_engine_initialized(self) -> None:
                pass

        return Logger(vllm_config, engine_index)

    def take(self, scheduler_stats: Any, generated: int) -> None:
        """A step has ended, which brought ``generated`` tokens."""
        now = time.monotonic()
        if self.running and now - self._last < _MAX_STEP:
            self.steps.add(now - self._last)
            self.tokens.add(now - self._last, self.running, generated)
        self._last = now
        self.running = scheduler_stats.num_running_reqs
        self.waiting = scheduler_stats.num_waiting_reqs
        self.cache_usage = scheduler_stats.kv_cache_usage
        speculation = scheduler_stats.spec_decoding_stats
        if speculation is not None:
            self._drafts += speculation.num_drafts
            self._accepted += speculation.num_accepted_tokens


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
    gib = settings.cache_gib or (1.0 if on_cpu else None)
    return int(gib * 2**30) if gib is not None else None


def _sampling_params(request: Generation) -> "SamplingParams":
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    sampling = request.sampling
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        stop=list(sampling.stop) or None,
        include_stop_str_in_output=True,
        seed=request.seed,
        max_tokens=request.max_tokens,
        logprobs=sampling.logprobs or None,
        output_kind=RequestOutputKind.DELTA,
    )


def _chunk(output: "RequestOutput") -> Chunk:
    completion = output.outputs[0]
    finish: FinishReason | None = None
    if output.finished:
        finish = _FINISHES.get(completion.finish_reason or "", FinishReason.ERROR)
    confidences = tuple(_confidence(top) for top in completion.logprobs or ())
    return Chunk(completion.text, tuple(completion.token_ids), finish, confidences)


def _confidence(top: Mapping[int, Any]) -> float:
    """Negative mean of the top-k log probabilities; the token drawn is there beyond them."""
    k = max(1, len(top) - 1)
    values = [entry.logprob for entry in top.values() if entry.rank is None or entry.rank <= k]
    return -sum(values) / max(1, len(values))
