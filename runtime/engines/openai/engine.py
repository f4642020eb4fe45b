"""A remote engine: any endpoint that speaks OpenAI's API, vLLM's servers best.

Closing a request's connection is what ends it at the other end; an abort closes all at once.

What is exact depends on the endpoint, which is asked for it at the start:

- **Token ids** (vLLM): prompts go out as token ids, generated ids come back, and continuations are
  exact, as in process. Texts and conversations are tokenised by the endpoint itself, or by
  ``engine.tokenizer`` in this process. Without the latter ``encode`` and ``encode_chat``, which
  cannot wait for an answer, give ids that spell the text (``spelled_ids``), about as many as it has
  tokens; the first request puts the endpoint's in their place. The length of a prompt, and the room
  that it leaves, are then estimates; what is generated is not.
- **Text** (others): all ids are spelled. A chunk's text is exact, and so is a continuation's, but
  the endpoint tokenises it anew: the seam between what was generated and what follows may fall into
  other tokens than the model would have chosen. Numbers of tokens are estimates: one an event,
  unless log probabilities tell. With ``engine.tokenizer`` conversations go through its chat
  template and ``/completions``; without, through ``/chat/completions``, with what was generated as
  the beginning of the assistant's turn. Whether a server goes on from there or begins anew is
  its own; vLLM and SGLang do go on. Its tool calls, where it takes them out of the text, are lost.

Stop strings are kept in the text by vLLM only; others cut them off. A seed is sent to all, and has
an effect for certain on vLLM only. A request's priority is sent where the server takes it.
"""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

from ...common.http_endpoints import SHOWN_CHARS, authorization
from ...common.loop_clock import loop_time
from ...config import OpenAISettings, PromptSettings, ThinkingSettings
from ...errors import BadRequest, EngineClosed, EngineError, EngineStartError
from ..chat_template import PROBE
from ..logprobs import ScoredChunk
from ..model_names import model_name
from ..protocol import (
    Chunk,
    EngineInfo,
    EngineLoad,
    FinishReason,
    Generation,
    Message,
    Sampling,
    StepTimes,
    TokenSink,
    TokenTimes,
    ToolTurn,
)
from ..reasoning_parsers import reasoning_marks
from .completion_stream import DeltaStream, Heard, LiveRequest, tokens_at_once
from .discovery import EndpointInfo, discover
from .http import NOT_TAKEN, EndpointClient, Refused
from .prompt_ends import PromptEnds
from .prompts import EndpointPrompts, tokenize
from .request_slots import RequestSlots
from .tokens import Asked, LocalTokenizer, RemoteTokenizer
from .wire import BadAnswer, Capabilities, Delta, read_scored

T = TypeVar("T")

#: Seconds for the questions of the start.
_START_LIMIT = 60.0
#: Seconds that a stream gets to end in order after its last text, so that its connection is kept.
_DRAIN_TIMEOUT = 0.02
#: Seconds between two looks whether the endpoint must be tried, and for which it may be.
_LOOK, _TRIAL_LIMIT = 0.25, 5.0
#: What most servers of today do; where it matters the settings say so.
_PREFILL_TOKENS_PER_STEP = 2048
_CACHE_BLOCK_TOKENS = 16
_WARM_UP_TOKENS = 16


class OpenAIEngine:
    """An ``Engine`` behind a URL; needs asyncio, as aiohttp does."""

    def __init__(
        self,
        settings: OpenAISettings,
        prompt: PromptSettings | None = None,
        thinking: ThinkingSettings | None = None,
    ) -> None:
        """
        Args:
            settings: of kind ``openai``.
            prompt: of the model's chat template.
            thinking: whose budget the endpoint is to keep.
        """
        self._budget = thinking.token_budget if thinking is not None else None
        self._ends = PromptEnds(thinking or ThinkingSettings())
        self._settings = settings
        self._prompt = prompt or PromptSettings()
        self._url = base_url(settings.url)
        self._client: EndpointClient | None = None
        self._found: EndpointInfo | None = None
        self._info: EngineInfo | None = None
        self._local: LocalTokenizer | None = None
        self._remote: RemoteTokenizer | None = None
        self._endpoint_prompts: EndpointPrompts | None = None  # of ``_found``
        self._slots = RequestSlots(settings.max_branches)
        self._live: dict[str, LiveRequest] = {}
        self._steps, self._tokens = StepTimes(clock=loop_time), TokenTimes()

    # ── life ──────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        settings = self._settings
        key = authorization("engine.key_env", settings.key_env)
        try:
            if settings.tokenizer is not None:
                self._local = await LocalTokenizer.load(settings.tokenizer, self._prompt)
            self._client = EndpointClient(
                self._url, key, settings.connect_timeout, several=settings.replicas > 1
            )
            with anyio.fail_after(_START_LIMIT):
                sample = self._local.encode("1 + 1 =") if self._local is not None else ()
                found = await discover(self._client, settings.model, sample)
                self._take(found)
                self._info = replace(self.info, chat=await self._prompts.learn())
                if self._remote is not None:
                    probe = self.encode_chat(PROBE)
                    await self._ends.learn(self._client, found.model, probe, self._remote)
                await self._warm_up()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, EngineStartError) or not isinstance(error, Exception):
                raise
            said = f"no answer in {_START_LIMIT:g} s" if isinstance(error, TimeoutError) else error
            raise EngineStartError(f"engine.url: {self._url}: {said}") from error

    def _take(self, found: EndpointInfo) -> None:
        settings, abilities = self._settings, found.abilities
        if abilities.token_ids and self._local is None and found.tokenizes:
            self._remote = RemoteTokenizer(self._tokenize)
        if self._local is None and self._remote is None:
            abilities = replace(abilities, token_ids=False)
        self._found = replace(found, abilities=abilities)
        _check_usable(abilities, tokenizer=self._local is not None, budget=self._budget)
        self._info = info = _describe(self._found, settings)
        self._endpoint_prompts = EndpointPrompts(
            self._found, self._local, self._remote, self._prompt, info.max_context_tokens
        )

    async def _warm_up(self) -> None:
        """Measure how fast text comes, and show that a conversation gets through."""
        prompt = self.encode_chat([{"role": "user", "content": "Count from one to ten."}])
        sampling = Sampling(temperature=1.0, thinking_tokens=self._budget)
        await _run_out(self, Generation("warm-up", prompt, _WARM_UP_TOKENS, sampling))

    async def aclose(self) -> None:
        client, self._client = self._client, None
        for live in self._live.values():
            live.abort()
        if client is not None:
            await client.aclose()

    # ── serving ───────────────────────────────────────────────────────────────────────────────

    @property
    def info(self) -> EngineInfo:
        return _running(self._info)

    @property
    def failure(self) -> EngineError | None:
        """Set once several requests in a row failed, until one is answered: the next one that
        comes after a pause is let through, and ``run_beside`` asks by itself."""
        if self._client is None:
            return EngineClosed("the remote engine is not running")
        return self._client.breaker.failure

    async def run_beside(self) -> None:
        """See ``RunsBeside``: prove that an endpoint which failed serves again. Nobody sends
        anything to a server that is not ready for it."""
        while True:
            await anyio.sleep(_LOOK)
            client = self._client
            if client is not None and client.breaker.trial_due:
                request = Generation("trial", self.encode("1"), 1, Sampling())
                with suppress(EngineError), anyio.move_on_after(_TRIAL_LIMIT):
                    await _run_out(self, request)

    def encode(self, text: str) -> tuple[int, ...]:
        return self._prompts.encode(text)

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        """See ``SupportsRawPrompts``."""
        return self._prompts.encode_prompt(text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        return self._prompts.encode_chat(messages, tools, arguments)

    @property
    def replicas(self) -> int:
        """See ``HasReplicas``."""
        return self._settings.replicas

    @property
    def takes_tool_turns(self) -> bool:
        """See ``protocol.takes_tool_turns``: where prompts are token ids."""
        return self._endpoint_prompts is not None and self._prompts.takes_tool_turns

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """See ``SupportsToolTurns``."""
        return self._prompts.tool_turn(turn)

    @property
    def takes_token_ids(self) -> bool:
        """See ``SupportsTokenIds``."""
        return self._started.abilities.token_ids

    async def tokenized(self, text: str) -> tuple[int, ...] | None:
        """See ``SupportsTokenIds``."""
        if self._local is not None:
            return self._local.encode(text)
        return await self._remote.ids([text]) if self._remote is not None else None

    def prompt_end(self, prompt: Sequence[int]) -> str | None:
        """See ``SupportsPromptEnds``."""
        return self._ends.of(prompt)

    def take_thinking(self, thinking: ThinkingSettings) -> None:
        """See ``TakesThinking``."""
        self._ends.thinking = thinking

    def reasoning_marks(self, parser: str) -> tuple[str, str]:
        """See ``SupportsReasoningParsers``; it needs ``engine.tokenizer``."""
        return _marks_of(parser, self._local)

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        async with aclosing(self._deltas(request)) as deltas:
            async for delta in deltas:
                yield delta.chunk(request.sampling)

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        """See ``SupportsFeeding``: what was read at once is put at once, and no task is woken
        beside the one that reads."""
        with self._request(request) as live:

            async def read() -> FinishReason:
                live.tokens_at_once = tokens_at_once(request, sink, self._tokens.seconds)
                stream = await self._open(request, live)
                finish = await stream.put_into(sink, request.sampling)
                await _end(stream)
                return finish

            return await live.unless_aborted(read) or FinishReason.ABORT

    async def next_tokens(
        self, prompt: Sequence[int], k: int, *, request_id: str, priority: int = 0
    ) -> Sequence[tuple[str, float]]:
        """The ``k`` likeliest next tokens (``SupportsNextTokens``), or as many as it gives."""
        sampling = Sampling(temperature=0.0, logprobs=k)
        request = Generation(request_id, tuple(prompt), 1, sampling, priority=priority)
        top: Mapping[str, float] = {}
        async with aclosing(self._deltas(request)) as deltas:
            async for delta in deltas:
                top = delta.top[0] if delta.top and not top else top
        return sorted(top.items(), key=lambda entry: -entry[1])[:k]

    async def scored(
        self, request: Generation, *, prompt: bool = False
    ) -> AsyncGenerator[ScoredChunk, None]:
        """Log probabilities (see ``SupportsLogprobs``), all in one chunk: the endpoint is asked by
        ``echo`` and ``logprobs``."""
        with self._request(request) as live:
            told = await live.unless_aborted(lambda: self._scored(request, live, repeat=prompt))
        yield told or ScoredChunk("", (), FinishReason.ABORT)

    async def abort(self, request_ids: Sequence[str]) -> None:
        for request_id in request_ids:
            if (live := self._live.get(request_id)) is not None:
                live.abort()
        await anyio.lowlevel.checkpoint()  # in which the connections are closed

    def load(self) -> EngineLoad:
        """What this side knows: others may use the endpoint too."""
        return EngineLoad(
            running=self._slots.taken,
            waiting=self._slots.waiting,
            step_seconds=self._steps.quantile(0.95),
            idle_step_seconds=self._steps.idle,
            token_seconds=self._tokens.seconds,
            token_batch=self._tokens.batch,
        )

    def _took(self, seconds: float, tokens: int) -> None:
        """A branch got tokens, so many seconds after its last ones."""
        running = self._slots.taken
        self._steps.add(seconds / tokens)
        self._tokens.add(seconds, running, tokens * running)  # as if each had got as many

    # ── one request ───────────────────────────────────────────────────────────────────────────

    async def _deltas(self, request: Generation) -> AsyncGenerator[Delta, None]:
        """What a request's chunks are made of."""
        aborted = Delta("", 0, (), FinishReason.ABORT)
        with self._request(request) as live:
            stream = await live.unless_aborted(lambda: self._open(request, live))
            if stream is None:
                yield aborted
                return
            finish: FinishReason | None = None
            while finish is None:
                delta = await live.unless_aborted(stream.next)
                if delta is None:
                    yield aborted
                    return
                finish = delta.finish
                if finish is not None:
                    await _end(stream)
                    # Another may have its place before this consumer takes the last chunk.
                    live.close()
                yield delta

    @contextmanager
    def _request(self, request: Generation) -> Generator[LiveRequest, None]:
        """Around all that is done for a request."""
        if self._client is None:
            raise EngineClosed("the remote engine is not running")
        live = self._live[request.request_id] = LiveRequest(self._slots)
        try:
            yield live
        finally:
            live.close()
            if self._live.get(request.request_id) is live:
                del self._live[request.request_id]

    async def _open(self, request: Generation, live: LiveRequest) -> DeltaStream:
        client, found = self._client, self._started
        assert client is not None
        path, body = await self._prompts.question(request, live.tokens_at_once)
        await self._slots.acquire(request.priority)
        live.holds_slot = True
        headers = {"X-Request-Id": request.request_id}
        if self._settings.session_header:
            headers[self._settings.session_header] = request.race or request.request_id
        live.response = await client.open(path, body, headers, until=request.deadline)
        # What follows a forcing suffix is reply, whatever the endpoint's parser takes it for.
        marks = None if request.forced else self._ends.marks()
        heard = Heard(self._took, client.breaker, client.redact)
        exact = found.abilities.token_ids
        return DeltaStream(live.response, request, heard, token_ids=exact, marks=marks)

    async def _scored(self, request: Generation, live: LiveRequest, *, repeat: bool) -> ScoredChunk:
        client = self._client
        assert client is not None
        body = await self._prompts.to_score(request, repeat=repeat)
        await self._slots.acquire(request.priority)
        live.holds_slot = True
        return await _ask_scored(client, body, request, repeat=repeat)

    async def _tokenize(self, part: Asked) -> tuple[int, ...]:
        if self._client is None:
            raise EngineClosed("the remote engine is not running")
        return await tokenize(self._client, self._started.model, part)

    @property
    def _prompts(self) -> EndpointPrompts:
        return _running(self._endpoint_prompts)

    @property
    def _started(self) -> EndpointInfo:
        return _running(self._found)


def _running(part: T | None) -> T:
    """What there is while the engine runs.

    Raises:
        EngineClosed: it does not.
    """
    if part is None:
        raise EngineClosed("the remote engine is not running")
    return part


async def _run_out(engine: OpenAIEngine, request: Generation) -> None:
    async with aclosing(engine.generate(request)) as chunks:
        async for _ in chunks:
            pass


def _marks_of(parser: str, local: LocalTokenizer | None) -> tuple[str, str]:
    if local is None:
        raise EngineStartError(
            "thinking.parser needs engine.tokenizer with an endpoint: set that, or "
            "thinking.start and thinking.end"
        )
    return reasoning_marks(parser, lambda: local.tokenizer)


async def _end(stream: DeltaStream) -> None:
    """Let a stream whose text is complete end in order."""
    with anyio.move_on_after(_DRAIN_TIMEOUT):
        await stream.drain()


def _describe(found: EndpointInfo, settings: OpenAISettings) -> EngineInfo:
    """
    Raises:
        EngineStartError: nobody says how long the context is.
    """
    limits = [n for n in (settings.max_context_tokens, found.max_context_tokens) if n]
    if not limits:
        raise EngineStartError(
            "engine.max_context_tokens: the endpoint does not say how long its model's context "
            "is, so set it"
        )
    return EngineInfo(
        name="openai",
        model=model_name(found.model),
        max_context_tokens=min(limits),
        max_branches=settings.max_branches,
        prefill_tokens_per_step=settings.prefill_tokens_per_step or _PREFILL_TOKENS_PER_STEP,
        cache_block_tokens=settings.cache_block_tokens or _CACHE_BLOCK_TOKENS,
        seeded=found.abilities.vllm,
        logprobs=found.abilities.logprobs,
        thinking_budgets=found.abilities.vllm,
    )


def _check_usable(abilities: Capabilities, *, tokenizer: bool, budget: int | None) -> None:
    """
    Raises:
        EngineStartError: the endpoint cannot do what the settings need.
    """
    if not (abilities.token_ids or abilities.chat or tokenizer):
        raise EngineStartError(
            "engine.tokenizer: the endpoint has completions only, so name the tokenizer whose "
            "chat template makes prompts of conversations"
        )
    if budget is not None and not abilities.vllm:
        raise EngineStartError(
            "thinking.token_budget: only vLLM's servers can keep one, and this endpoint is "
            "none: leave it out, or use the strategy budget_forcing with max_tokens"
        )


async def _ask_scored(
    client: EndpointClient, body: Mapping[str, Any], request: Generation, *, repeat: bool
) -> ScoredChunk:
    wanted, asked = ("echo", "echo with logprobs") if repeat else ("logprobs", "logprobs")
    try:
        return read_scored(await client.post("completions", body), request, repeated=repeat)
    except (Refused, BadAnswer) as error:
        if isinstance(error, Refused) and error.status not in NOT_TAKEN:
            raise
        said = client.redact(str(error))[:SHOWN_CHARS]
        raise BadRequest(
            f"{wanted}: the endpoint does not answer {asked} ({said}): use an engine that "
            "does, such as vLLM's server",
            wanted,
        ) from error


def base_url(url: str) -> str:
    """Where OpenAI's paths begin; a URL of a host alone gets the usual ``/v1``."""
    url = url.rstrip("/")
    return url if "/" in url.partition("://")[2] else f"{url}/v1"
