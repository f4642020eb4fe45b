"""Our requests on a vLLM engine, whoever started it: ``VllmEngine`` starts one of its own,
``AttachedEngine`` is given that of a vLLM server.

What the race relies on: one request per branch (never ``n > 1``: those share one stream and one
abort), ``DELTA`` outputs with exact token ids, prefix caching (a continuation recomputes at most
one cache block), and aborts of many ids in one message.
"""

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from ...config import PromptSettings
from ...errors import EngineClosed, EngineDead, EngineError
from ..logprobs import ScoredChunk
from ..lost_text import check_spelling
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
    TokenSink,
    ToolTurn,
)
from ..reasoning_parsers import reasoning_marks
from .feeding import read_by_call
from .logprobs import TokenTexts, vllm_scored
from .ranks import BranchRanks, rank_count
from .reasoning import keeps_budgets
from .start import first_line
from .step_stats import StepStats

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.outputs import CompletionOutput, RequestOutput
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.engine.output_processor import RequestOutputCollector

_FINISHES = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "abort": FinishReason.ABORT,
}
#: Branches that the warm-up runs at once, at most.
_WARM_BRANCHES: Final = 16
#: Seconds until a request that vLLM turned away for the moment is asked again.
_TRY_AGAIN: Final = 0.05

T = TypeVar("T")


class EngineOnClient:
    """All of an ``Engine`` on vLLM's ``EngineClient`` but its start and its end."""

    def __init__(self, max_branches: int, prompt: PromptSettings | None = None) -> None:
        """
        Args:
            max_branches: requests that may run at once.
            prompt: of the model's chat template.
        """
        self._max_branches = max_branches
        self._prompt = prompt or PromptSettings()
        self._llm: AsyncLLM | None = None
        self._info: EngineInfo | None = None
        self._stats = StepStats()
        self._local: LocalTokenizer | None = None  # of ``_llm``
        self._token_texts: TokenTexts | None = None  # likewise
        self._failure: EngineError | None = EngineClosed("the vLLM engine is not running")
        self._turned_away = _TurnedAway()
        self._ranks = BranchRanks()

    # ── for those that start and end ──────────────────────────────────────────────────────────

    def _run_on(self, llm: "AsyncLLM") -> None:
        """From now on requests go to ``llm``."""
        self._llm, self._failure = llm, None
        self._local = self._token_texts = None

    def _let_go(self) -> "AsyncLLM | None":
        """From now on nothing runs. Texts are still encoded, for races left in the middle."""
        llm, self._llm = self._llm, None
        self._failure = EngineClosed("the vLLM engine is not running")
        return llm

    def _describe(self, llm: "AsyncLLM", model: str, *, logprobs: bool) -> EngineInfo:
        config = llm.vllm_config
        return EngineInfo(
            name="vllm",
            model=model,
            max_context_tokens=config.model_config.max_model_len,
            max_branches=self._max_branches,
            prefill_tokens_per_step=config.scheduler_config.max_num_batched_tokens,
            cache_block_tokens=config.cache_config.block_size or 16,
            seeded=True,
            logprobs=logprobs,
            chat=self._tokenizer.chat,
            vocabulary=config.model_config.get_vocab_size(),
            thinking_budgets=keeps_budgets(config),
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
        self._stats.restart()
        if self.info.logprobs:
            # Likewise what they need: others would wait for it.
            asked = Generation("warm-up-scored", prompt, 1, Sampling(logprobs=1))
            async with aclosing(self.scored(asked, prompt=True)) as scored:
                async for _ in scored:
                    pass
        async with anyio.create_task_group() as tasks:
            for index in range(min(_WARM_BRANCHES, self._max_branches)):
                tasks.start_soon(run, index)

    # ── serving ───────────────────────────────────────────────────────────────────────────────

    @property
    def llm(self) -> "AsyncLLM":
        """vLLM's own object, for what this protocol leaves out.

        Raises:
            EngineClosed: while the engine is not running.
        """
        if self._llm is None:
            raise EngineClosed("the vLLM engine is not running")
        return self._llm

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

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        """See ``SupportsRawPrompts``."""
        return self._tokenizer.encode_prompt(text, self.info.max_context_tokens)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        limit = self.info.max_context_tokens
        return self._tokenizer.encode_chat(messages, tools, arguments, limit)

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """See ``SupportsToolTurns``."""
        return self._tokenizer.tool_turn(turn)

    def reasoning_marks(self, parser: str) -> tuple[str, str]:
        """See ``SupportsReasoningParsers``."""
        return reasoning_marks(parser, self.llm.get_tokenizer)

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        from vllm import TokensPrompt

        llm, confidences = self._running(), _measure(request.sampling)

        def ask() -> "AsyncGenerator[RequestOutput, None]":
            return llm.generate(
                TokensPrompt(prompt_token_ids=list(request.prompt)),
                _sampling_params(request),
                request.request_id,
                priority=self._priority(request.priority),
                data_parallel_rank=rank,
            )

        finish: FinishReason | None = None
        with _translated(), self._ranks.chosen(request, rank_count(llm.vllm_config)) as rank:
            async with aclosing(self._asked(request, ask)) as outputs:
                async for output in outputs:
                    chunk = _chunk(output, confidences)
                    finish = chunk.finish
                    yield chunk
        if finish is None:
            yield Chunk("", (), FinishReason.ABORT)

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        """See ``SupportsFeeding``."""
        from vllm import TokensPrompt

        llm, begun, confidences = self._running(), False, _measure(request.sampling)

        def take(output: "RequestOutput") -> FinishReason | None:
            nonlocal begun
            begun, completion = True, output.outputs[0]
            if completion.token_ids or completion.text:
                sink.put(completion.text, completion.token_ids, confidences(completion))
            return _finish(output)

        def ask() -> "Awaitable[RequestOutputCollector]":
            return llm.add_request(
                request.request_id,
                TokensPrompt(prompt_token_ids=list(request.prompt)),
                _sampling_params(request),
                priority=self._priority(request.priority),
                data_parallel_rank=rank,
            )

        with _translated(), self._ranks.chosen(request, rank_count(llm.vllm_config)) as rank:
            while True:
                try:
                    return await read_by_call(llm, ask, take)
                except Exception as error:
                    if begun or not _is_transient(error):
                        await self._forget(request.request_id)
                        raise
                if await self._turned_away.aborted(request.request_id):
                    return FinishReason.ABORT

    async def next_tokens(
        self, prompt: Sequence[int], k: int, *, request_id: str, priority: int = 0
    ) -> Sequence[tuple[str, float]]:
        """The ``k`` most likely next tokens (see ``SupportsNextTokens``)."""
        llm, priority = self._running(), self._priority(priority)
        with _translated():
            return await vllm_next_tokens(llm, prompt, k, request_id, priority)

    async def scored(
        self, request: Generation, *, prompt: bool = False
    ) -> AsyncGenerator[ScoredChunk, None]:
        """Log probabilities (see ``SupportsLogprobs``)."""
        llm, priority = self._running(), self._priority(request.priority)
        finish: FinishReason | None = None

        def ask() -> AsyncGenerator[ScoredChunk, None]:
            return vllm_scored(llm, request, self._texts, prompt=prompt, priority=priority)

        with _translated():
            async with aclosing(self._asked(request, ask)) as chunks:
                async for chunk in chunks:
                    finish = chunk.finish
                    yield chunk
        if finish is None:
            yield ScoredChunk("", (), FinishReason.ABORT, ())

    async def abort(self, request_ids: Sequence[str]) -> None:
        if self._llm is None or not request_ids:
            return
        self._turned_away.abort(request_ids)
        try:
            await self._llm.abort(list(request_ids))
        except Exception as error:
            raise EngineError(f"vLLM did not take the abort: {first_line(error)}") from error

    def load(self) -> EngineLoad:
        unfinished = self._llm.get_num_unfinished_requests() if self._llm is not None else 0
        running = min(unfinished, self._max_branches)
        return EngineLoad(
            running=running,
            waiting=unfinished - running,
            cache_usage=self._stats.cache_usage if unfinished else 0.0,
            step_seconds=self._stats.steps.quantile(0.95),
            idle_step_seconds=self._stats.steps.idle,
            token_seconds=self._stats.tokens.seconds,
            token_batch=self._stats.tokens.batch,
            acceptance_length=self._stats.acceptance_length,
        )

    def core_report(self) -> EngineLoad:
        """What the core said of itself in its last step; ``load`` is what our side knows."""
        stats = self._stats
        return EngineLoad(stats.running, stats.waiting, stats.cache_usage)

    # ── parts ─────────────────────────────────────────────────────────────────────────────────

    def _read_tokenizer(self, llm: "AsyncLLM") -> Any:
        """The tokenizer of the ``transformers`` library that prompts are made with."""
        return llm.get_tokenizer()

    def _priority(self, asked: int) -> int:
        """The priority that vLLM is told for one that the race asks for."""
        return asked

    def _running(self) -> "AsyncLLM":
        """vLLM's client; raises ``EngineError`` if it does not run."""
        if self.failure is not None or self._llm is None:
            raise self.failure or EngineClosed("the vLLM engine is not running")
        return self._llm

    async def _asked(
        self, request: Generation, ask: Callable[[], AsyncGenerator[T, None]]
    ) -> AsyncGenerator[T, None]:
        """What vLLM says to a request, which is asked again as long as vLLM turns it away for the
        moment, as one that was paused does from 0.33 on. Ends without a word if the request is
        aborted meanwhile."""
        begun = False
        while True:
            try:
                async with aclosing(ask()) as outputs:
                    async for output in outputs:
                        begun = True
                        yield output
                return
            except Exception as error:
                if begun or not _is_transient(error):
                    await self._forget(request.request_id)
                    raise
            if await self._turned_away.aborted(request.request_id):
                return

    async def _forget(self, request_id: str) -> None:
        """Take a request that failed out of vLLM's tables, where one that cannot be sent stays."""
        llm = self._llm
        if llm is not None and not llm.errored:
            with anyio.CancelScope(shield=True), suppress(Exception):
                await llm.abort(request_id)

    @property
    def _texts(self) -> TokenTexts:
        if self._token_texts is None:
            self._token_texts = TokenTexts(self.llm.get_tokenizer().decode)
        return self._token_texts

    @property
    def _tokenizer(self) -> LocalTokenizer:
        if self._local is None:
            tokenizer = self._read_tokenizer(self.llm)
            check_spelling(tokenizer)
            self._local = LocalTokenizer(tokenizer, self._prompt)
        return self._local


class _TurnedAway:
    """Requests that vLLM has turned away for the moment."""

    def __init__(self) -> None:
        self._waiting: dict[str, anyio.Event] = {}

    async def aborted(self, request_id: str) -> bool:
        """Wait until a request may be asked again, or is aborted; returns whether it is."""
        aborted = self._waiting[request_id] = anyio.Event()
        try:
            with anyio.move_on_after(_TRY_AGAIN):
                await aborted.wait()
        finally:
            del self._waiting[request_id]
        return aborted.is_set()

    def abort(self, request_ids: Sequence[str]) -> None:
        """End the waiting of those that wait."""
        for request_id in request_ids:
            if (waiting := self._waiting.get(request_id)) is not None:
                waiting.set()


def set_heap_aside() -> None:
    """Keep the garbage collector off what importing and starting vLLM has made.

    A full collection walks over all of it and stops the event loop meanwhile: long enough to miss
    a deadline, now and then. vLLM's own server does the same when it starts.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def _translated() -> Iterator[None]:
    """vLLM's errors as ours.

    Raises:
        EngineError: the request is lost (``EngineDead``: all are).
    """
    from vllm.v1.engine.exceptions import EngineDeadError

    try:
        yield
    except EngineDeadError as error:
        raise EngineDead("the vLLM engine died; its log says why") from error
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"vLLM lost the request: {first_line(error)}") from error


def _is_transient(error: Exception) -> bool:
    """Whether vLLM says that the same request may work a moment later."""
    from vllm.exceptions import RetryableRequestError

    return isinstance(error, RetryableRequestError)


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
        logprobs=0 if sampling.likelihoods else sampling.logprobs or None,
        skip_special_tokens=not sampling.special_tokens,
        spaces_between_special_tokens=not sampling.special_tokens,
        thinking_token_budget=None if request.forced else sampling.thinking_tokens,
        output_kind=RequestOutputKind.DELTA,
    )


def _chunk(
    output: "RequestOutput", confidences: "Callable[[CompletionOutput], tuple[float, ...]]"
) -> Chunk:
    completion = output.outputs[0]
    ids = tuple(completion.token_ids)
    return Chunk(completion.text, ids, _finish(output), confidences(completion))


def _finish(output: "RequestOutput") -> FinishReason | None:
    if not output.finished:
        return None
    return _FINISHES.get(output.outputs[0].finish_reason or "", FinishReason.ERROR)


def _measure(sampling: Sampling) -> "Callable[[CompletionOutput], tuple[float, ...]]":
    """What ``Chunk.confidences`` are read with."""
    return _likelihoods if sampling.likelihoods else _confidences


def _likelihoods(completion: "CompletionOutput") -> tuple[float, ...]:
    ids, found = completion.token_ids, completion.logprobs or ()
    drawn = [top[token] if top else None for token, top in zip(ids, found, strict=True)]
    return tuple(entry.logprob for entry in drawn if entry is not None)


def _confidences(completion: "CompletionOutput") -> tuple[float, ...]:
    return tuple(_confidence(top) for top in completion.logprobs) if completion.logprobs else ()


def _confidence(top: Mapping[int, Any]) -> float:
    """Negative mean of the top-k log probabilities; the token drawn is there beyond them."""
    k = max(1, len(top) - 1)
    values = [entry.logprob for entry in top.values() if entry.rank is None or entry.rank <= k]
    return -sum(values) / max(1, len(values))
