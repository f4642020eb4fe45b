"""A reward model on a vLLM pooling engine of its own, beside the one that runs the branches.

Outcome models (``orm``) are scored by ``classify``, at the text's last token. Their prefixes are
cached: scoring a growing branch again costs the new tokens only. Process models (``prm``) are
scored by ``token_classify``: vLLM gives every token's score, computed anew each time (it needs the
hidden states of all), and we read those at the ends of the steps, whose places we know, as we
tokenise step by step.
"""

import copy
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import accumulate, count
from math import isfinite
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import structlog

from ..config import DEMO_REWARD_MODEL, PoolingRewards, VllmSettings
from ..engines.protocol import EngineLoad, StepTimes
from ..engines.vllm.imports import import_vllm
from ..engines.vllm.start import (
    StartedVllm,
    build,
    check_model,
    first_line,
    model_folder,
    require_vllm,
    set_environment,
    start_error,
)
from ..errors import EngineClosed, EngineDead, EngineError, EngineStartError
from .inputs import Template, aggregate, conversation, split_steps
from .protocol import Scoring

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

_log = structlog.get_logger("frontrunner.rewards")

#: Seconds that telling the engine to abort may take.
_ABORT_LIMIT = 1.0
#: Share of a GPU that must be free at the start, and GiB of its KV cache, where nothing is said.
_GPU_SHARE = 0.1
_GPU_CACHE_GIB = 2.0
_CPU_CACHE_GIB = 0.5


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What the model reads."""

    ids: list[int]  # (num_tokens,)
    reads: list[int]  # (num_steps,) the tokens at which steps are scored


class PoolingReward:
    """A ``RewardModel`` on vLLM's ``AsyncLLM`` with ``runner="pooling"``."""

    def __init__(self, settings: PoolingRewards, beside: VllmSettings | None = None) -> None:
        """
        Args:
            settings: of the reward model.
            beside: of the engine that shares the device.

        Raises:
            EngineStartError: if vLLM is not installed.
        """
        require_vllm()
        self._settings = settings
        self._model = settings.model
        self._beside = beside
        self._template = Template.parse(settings.template) if settings.template else None
        self._started: StartedVllm | None = None
        self._llm: AsyncLLM | None = None  # of ``_started``
        self._tokenizer: Any = None
        self._task = "classify"
        self._ids = count()
        self._killed: EngineDead | None = None
        self._steps, self._took = 0, StepTimes()
        self._running = 0
        # vLLM would queue all of them alike; this keeps what a cancelled race leaves to abort, and
        # the wait of a small race behind a large one, short.
        self._slots = anyio.Semaphore(settings.batch)
        self._one_reader = anyio.Lock()

    async def start(self) -> None:
        check_model("rewards.model", self._model)
        # vLLM reads it when it starts a process: the main engine's, where there is one, holds.
        level = self._beside.log_level if self._beside is not None else "ERROR"
        set_environment(level, offline=self._model == DEMO_REWARD_MODEL)
        began = time.monotonic()
        try:
            self._started = await anyio.to_thread.run_sync(self._build)
            self._llm = self._started.llm
            # vLLM's own is used on the event loop, and no tokenizer may be used by two threads.
            self._tokenizer = copy.deepcopy(self._llm.get_tokenizer())
            self._tokenizer.model_max_length = sys.maxsize  # vLLM refuses what is too long
            self._task = self._find_task(await self._llm.get_supported_tasks())
            await self._warm_up()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, EngineStartError) or not isinstance(error, Exception):
                raise
            raise start_error(self._model, error) from error
        _log.info("frontrunner.reward_model_started", seconds=round(time.monotonic() - began, 2))

    async def aclose(self) -> None:
        started, self._started, self._llm = self._started, None, None
        if started is not None:
            await started.shut_down()

    # ── as what is looked after ───────────────────────────────────────────────────────────────

    @property
    def failure(self) -> EngineError | None:
        """Why it can score no more."""
        if self._killed is not None:
            return self._killed
        if self._llm is None:
            return EngineClosed("the reward model is not running")
        if self._llm.errored:
            return EngineDead("the reward model's engine died; its log says why")
        return None

    @property
    def steps(self) -> int:
        """Texts that were scored: what vLLM says of its steps is the main engine's."""
        return self._steps

    def load(self) -> EngineLoad:
        """Texts that are being scored; a step is one of them."""
        return EngineLoad(running=self._running, step_seconds=self._took.quantile(0.95))

    def kill(self, why: str) -> None:
        """End its processes. What is being scored ends with ``EngineDead`` at once."""
        if self._started is not None:
            self._killed = EngineDead(why)
            self._started.processes.kill()
            self._started.fail_requests()

    def _build(self) -> StartedVllm:
        import_vllm()
        from vllm.platforms import current_platform

        on_cpu = current_platform.is_cpu()
        if not on_cpu and self._beside is not None:
            self._check_share(self._beside)
        return build(pooling_arguments(self._settings, on_cpu=on_cpu))

    def _check_share(self, main: VllmSettings) -> None:
        """vLLM's own refusal names no setting of ours."""
        if main.gpu_memory_utilization is None:
            raise EngineStartError(
                "the reward model shares the GPU with the main engine, which takes nearly all of "
                "it: set engine.gpu_memory_utilization (0.7, say) and "
                "rewards.gpu_memory_utilization, together at most 1"
            )

    def _find_task(self, supported: Sequence[str]) -> str:
        wanted = ("classify", "token_classify") if self._settings.task == "orm" else ()
        for task in (*wanted, "token_classify"):
            if task in supported:
                return task
        raise EngineStartError(
            f"rewards.model: {self._model!r} is no reward model: vLLM offers "
            f"{', '.join(supported) or 'nothing'} of it, not classify or token_classify"
        )

    async def _warm_up(self) -> None:
        question = [{"role": "user", "content": "What is 1 + 1?"}]
        delimiter = self._settings.step_delimiter
        item = Scoring(question, f"1 + 1 = 2{delimiter}The answer is 2.", complete=True)
        for copies in (1, min(16, self._settings.batch)):
            scores = await self._score([item] * copies)
            failed = next((score for score in scores if isinstance(score, Exception)), None)
            if failed is not None:
                raise failed

    # ── scoring ───────────────────────────────────────────────────────────────────────────────

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        scores = await self._score(items)
        failed = [score for score in scores if isinstance(score, Exception)]
        if failed:
            _log.warning(
                "frontrunner.scores_failed", count=len(failed), error=first_line(failed[0])
            )
        return [None if isinstance(score, Exception) else score for score in scores]

    async def _score(self, items: Sequence[Scoring]) -> list[float | Exception | None]:
        """A score for each item, or why it has none."""
        if (failure := self.failure) is not None:
            raise failure
        scores: list[float | Exception | None] = [None] * len(items)
        running: set[str] = set()

        async def run(index: int, item: Scoring) -> None:
            async with self._slots:
                try:
                    scores[index] = await self._score_one(item, running)
                except Exception as error:  # noqa: BLE001 - one text that vLLM refuses, or a death
                    scores[index] = error

        try:
            async with anyio.create_task_group() as tasks:
                for index, item in enumerate(items):
                    tasks.start_soon(run, index, item)
        finally:
            await self._abort(running)
        return scores

    async def _score_one(self, item: Scoring, running: set[str]) -> float | None:
        from vllm import PoolingParams, TokensPrompt

        async with self._one_reader:
            # Long texts take tens of milliseconds, which the event loop does not have.
            prompt = await anyio.to_thread.run_sync(self._read, item)
        llm = self._llm
        if llm is None or not prompt.ids or not prompt.reads:
            return None
        request = f"reward-{next(self._ids)}"
        parameters = PoolingParams(task=self._task, use_activation=self._settings.activation)  # type: ignore[arg-type]
        running.add(request)
        data: Any = None
        outputs = llm.encode(TokensPrompt(prompt_token_ids=prompt.ids), parameters, request)
        began, self._running = time.monotonic(), self._running + 1
        try:
            async with aclosing(outputs):
                async for output in outputs:
                    data = output.outputs.data
        finally:
            self._running -= 1
        running.discard(request)
        self._steps += 1
        self._took.add(time.monotonic() - began)
        return self._value(data, prompt)

    async def _abort(self, requests: set[str]) -> None:
        """What a cancelled race leaves: vLLM's generator aborts only where nothing is shielded."""
        if not requests or self._llm is None:
            return
        with anyio.move_on_after(_ABORT_LIMIT, shield=True):
            try:
                await self._llm.abort(list(requests))
            except Exception as error:  # noqa: BLE001 - the scores are lost anyway
                _log.warning("frontrunner.abort_failed", error=first_line(error))

    def _value(self, data: Any, prompt: _Prompt) -> float | None:
        """The score in a pooler's output: (num_labels,), or (num_tokens, num_labels) by token."""
        if self._task == "classify":
            score = float(data.reshape(-1)[self._settings.label])
        else:
            rows = data.reshape(len(prompt.ids), -1)[prompt.reads, self._settings.label].tolist()
            read = aggregate(rows, self._settings.aggregation)
            if read is None:
                return None
            score = read
        return score if isfinite(score) else None

    # ── reading ───────────────────────────────────────────────────────────────────────────────

    def _read(self, item: Scoring) -> _Prompt:
        settings = self._settings
        if settings.task == "orm":
            ids = self._encode(self._whole(item))
            return _Prompt(ids, [len(ids) - 1])
        before = self._encode(self._before(item))
        steps = split_steps(item.text, settings.step_delimiter, settings.step_marker)
        pieces = [self._encode(step) for step in steps]
        ends = accumulate(map(len, pieces), initial=len(before))
        ids = [*before, *(token for piece in pieces for token in piece)]
        return _Prompt(ids, [end - 1 for end in ends][1:])

    def _whole(self, item: Scoring) -> str:
        """Question and text; a complete one as a turn that has ended, as outcome models want it."""
        if self._template is not None:
            return self._template.fill(item.question, item.text)
        if not item.complete:
            return self._before(item) + item.text
        turns = conversation(item.question, self._settings.system)
        answer = {"role": "assistant", "content": item.text}
        return self._render([*turns, answer], add_generation_prompt=False)

    def _before(self, item: Scoring) -> str:
        if self._template is not None:
            return self._template.around(item.question)[0]
        turns = conversation(item.question, self._settings.system)
        return self._render(turns, add_generation_prompt=True)

    def _render(self, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        text = self._tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        assert isinstance(text, str)
        # Some templates end a turn with a line break, which no model was trained to be read at.
        return text if add_generation_prompt else text.rstrip("\n")

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))


def pooling_arguments(settings: PoolingRewards, *, on_cpu: bool) -> dict[str, Any]:
    """vLLM's arguments for ``settings``; what a setting leaves open follows the hardware."""
    cache_gib = settings.cache_gib or (_CPU_CACHE_GIB if on_cpu else _GPU_CACHE_GIB)
    arguments: dict[str, Any] = {
        "model": model_folder(settings.model),
        "runner": "pooling",
        # Every token's score, of which we read those we want: vLLM's own choice of steps ("STEP")
        # would forbid it to split a long text over several engine steps.
        "pooler_config": {"tok_pooling_type": "ALL"},
        "dtype": settings.dtype,
        "max_num_seqs": settings.batch,
        "max_model_len": settings.max_context_tokens,
        "block_size": 32 if on_cpu else None,
        "kv_cache_memory_bytes": int(cache_gib * 2**30),
        "gpu_memory_utilization": settings.gpu_memory_utilization
        or (None if on_cpu else _GPU_SHARE),
        "tensor_parallel_size": settings.tensor_parallel,
        "enforce_eager": settings.eager if settings.eager is not None else on_cpu,
        "enable_prefix_caching": True,
        "shutdown_timeout": 0,
        "disable_log_stats": True,  # a second engine's would replace the first one's
    }
    return {key: value for key, value in arguments.items() if value is not None}
