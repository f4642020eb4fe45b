"""Races on a vLLM engine that runs already and belongs to others: that of a vLLM server.

It is neither started nor shut down here, and requests of others run on it. Ours stand in its queue
like theirs: they get no priority over them, and are turned away by the same limits.
"""

import copy
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import structlog

from ...config import Settings
from ...errors import EngineError, EngineStartError
from ..protocol import Chunk, FinishReason, Generation, TokenSink
from .on_client import EngineOnClient, set_heap_aside
from .prompt_characters import correct_prompt_ends
from .reasoning import keeps_budgets
from .start import first_line

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

_log = structlog.get_logger("frontrunner.engine")

#: vLLM's ways to accept draft tokens that leave the distribution of the output as it is.
_EXACT: Final = ("standard", "block")


def check_acceptance(speculation: Any) -> None:
    """See that vLLM's speculation leaves the distribution of the answers as it is.

    Args:
        speculation: vLLM's ``SpeculativeConfig``, or None.

    Raises:
        EngineStartError: it accepts tokens that the model would not have drawn.
    """
    method = getattr(speculation, "rejection_sample_method", None)
    if method is not None and method not in _EXACT:
        raise EngineStartError(
            f"speculative_config.rejection_sample_method: {method!r} accepts tokens that the model "
            "would not have drawn, and votes over such answers mean nothing: take 'standard' or "
            "'block', or leave Frontrunner out of VLLM_PLUGINS"
        )


class AttachedEngine(EngineOnClient):
    """An ``Engine`` on the client of an engine that others started and will shut down."""

    def __init__(
        self, client: "AsyncLLM", settings: Settings, *, chat_template: str | None = None
    ) -> None:
        """
        Args:
            client: vLLM's ``EngineClient``.
            settings: of the races: with the model's name and the number of requests of races that
                may run at once in ``[engine]``.
            chat_template: the one that the server uses in place of the tokenizer's own.
        """
        super().__init__(settings.engine.max_branches, settings.prompt)
        self._client = client
        self._settings = settings
        self._template = chat_template
        self._listener: Any = None  # among vLLM's stat loggers

    async def start(self) -> None:
        config = self._client.vllm_config
        check_acceptance(config.speculative_config)
        if config.model_config.skip_tokenizer_init:
            raise EngineStartError(
                "vLLM was started with --skip-tokenizer-init, and races need its tokenizer: leave "
                "the argument out"
            )
        if self._settings.thinking.token_budget is not None and not keeps_budgets(config):
            raise EngineStartError(
                "thinking.token_budget: vLLM keeps a budget only where it was started with "
                "--reasoning-config"
            )
        correct_prompt_ends()
        began = time.monotonic()
        try:
            self._run_on(self._client)
            most = config.model_config.max_logprobs
            # With speculation vLLM's were wrong, or missing, in several releases.
            logprobs = config.speculative_config is None and most != 0
            name = self._settings.engine.model
            self._info = self._describe(self._client, name, logprobs=logprobs)
            self._listen()
            await self._warm_up()
            set_heap_aside()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, EngineStartError) or not isinstance(error, Exception):
                raise
            raise EngineStartError(
                f"races cannot run on this vLLM engine: {first_line(error)}"
            ) from error
        _log.info("frontrunner.engine_attached", seconds=round(time.monotonic() - began, 2))

    async def aclose(self) -> None:
        """Let go of the engine, which runs on."""
        if self._let_go() is not None and self._listener is not None:
            loggers = self._loggers
            if self._listener in loggers:
                loggers.remove(self._listener)
            self._listener = None

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        if not request.forced:
            self._check_admission(request)
        timed = self._timed()
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                timed(len(chunk.token_ids))
                yield chunk

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        """See ``SupportsFeeding``."""
        if not request.forced:
            self._check_admission(request)
        if self._listener is None:
            sink = _TimedSink(sink, self._timed())
        return await super().feed(request, sink)

    def _timed(self) -> Callable[[int], None]:
        """To be told of the tokens of one request as they come: where there is no listener they
        are all that tells of steps."""
        last: float | None = None

        def told(tokens: int) -> None:
            nonlocal last
            now = time.monotonic()
            if last is not None and tokens:
                running = max(1, min(self.load().running, self._max_branches))
                self._stats.took(now - last, tokens, running)
            last = now

        return told if self._listener is None else lambda tokens: None

    def _read_tokenizer(self, llm: "AsyncLLM") -> Any:
        tokenizer = super()._read_tokenizer(llm)
        if self._template is not None:
            tokenizer = copy.copy(tokenizer)
            tokenizer.chat_template = self._template
        return tokenizer

    def _priority(self, asked: int) -> int:
        return 0  # vLLM's default: nobody's request waits for a race

    def _check_admission(self, request: Generation) -> None:
        """Keep to the limits of vLLM's queue (``--max-num-queued-reqs``), as its server does.

        Raises:
            EngineError: it is full.
        """
        try:
            self._client.check_admission(1, request.request_id)
        except Exception as error:
            raise EngineError(f"vLLM's queue is full: {first_line(error)}") from error

    @property
    def _loggers(self) -> list[Any]:
        manager = self._client.logger_manager
        return [] if manager is None else manager.stat_loggers

    def _listen(self) -> None:
        """Hear of the engine's steps beside vLLM's own loggers, where it has any."""
        if self._client.logger_manager is None:  # --disable-log-stats
            return
        from vllm.v1.metrics.loggers import PerEngineStatLoggerAdapter

        manager = self._client.logger_manager
        self._listener = PerEngineStatLoggerAdapter(
            self._client.vllm_config, manager.engine_indexes, self._stats.logger
        )
        manager.stat_loggers.append(self._listener)


class _TimedSink:
    """Puts what comes into another sink, and tells how many tokens did."""

    def __init__(self, sink: TokenSink, told: Callable[[int], None]) -> None:
        self.immediate = sink.immediate
        self.catch_up: Callable[[], None] | None = None
        self._sink = sink
        self._told = told

    def put(self, text: str, token_ids: Sequence[int], confidences: Sequence[float] = ()) -> None:
        self._told(len(token_ids))
        self._sink.put(text, token_ids, confidences)

    def put_all(
        self,
        texts: Sequence[str],
        token_ids: Sequence[Sequence[int]],
        confidences: Sequence[float] = (),
    ) -> None:
        self._told(sum(map(len, token_ids)))
        self._sink.put_all(texts, token_ids, confidences)
