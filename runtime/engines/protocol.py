"""What a race needs from an engine. Implement it to race on something else.

One request is one branch (or one forced continuation of it). Requests carry exact token ids, so
that a continuation hits the engine's prefix cache and nothing is ever tokenised twice.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from time import monotonic
from typing import Any, Final, Protocol, cast, runtime_checkable

from ..config import ThinkingSettings
from ..errors import EngineError

#: Seconds without a step in which half of what slow steps are over usual ones fades.
_HALF_LIFE: Final = 2.0
#: Steps of which a median says something.
_MIN_STEPS: Final = 8
#: One chat message, as in the OpenAI API: ``{"role": ..., "content": ...}``.
Message = Mapping[str, str]


class FinishReason(StrEnum):
    """Why a request ended."""

    STOP = "stop"
    """End of sequence, or a stop string."""
    LENGTH = "length"
    """``max_tokens`` or the end of the context."""
    ABORT = "abort"
    """``Engine.abort`` was called."""
    ERROR = "error"
    """The engine lost this request."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    stop: tuple[str, ...] = ()  # strings; kept in the text
    logprobs: int = 0  # k of the top-k log probabilities behind ``Chunk.confidences``; 0: none
    likelihoods: bool = False  # whether ``Chunk.confidences`` are the tokens' own instead
    special_tokens: bool = False  # whether they are kept in the text, as far as the engine can
    thinking_tokens: int | None = None  # at most; None: any number

    @property
    def measured(self) -> bool:
        """Whether ``Chunk.confidences`` are asked for."""
        return self.likelihoods or bool(self.logprobs)


@dataclass(frozen=True, slots=True)
class Generation:
    """One engine request."""

    request_id: str  # unique among the requests alive
    prompt: tuple[int, ...]  # (num_tokens,)
    max_tokens: int
    sampling: Sampling
    seed: int | None = None
    priority: int = 0  # lower is served first
    branch: int = 0
    forced: bool = False  # a forced continuation of the branch
    race: str = ""  # the race's name, the same for all its requests; empty: it belongs to none
    parent: int | None = None  # the branch that this one was forked from
    deadline: float = inf  # of the race, on the anyio clock: later nobody wants anything of it


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a request generated since its last chunk."""

    text: str
    token_ids: tuple[int, ...]
    finish: FinishReason | None = None  # set on the last chunk only
    confidences: tuple[float, ...] = ()
    """(num_tokens,) negative mean of each token's top-k log probabilities (DeepConf,
    arXiv 2508.15260) if ``Sampling.logprobs`` asked for them, each token's own log probability if
    ``Sampling.likelihoods`` did; else empty."""


@dataclass(frozen=True, slots=True)
class ChatSupport:
    """What the model sees of a conversation, as its chat template shows it."""

    template: bool = True
    """Whether there is a template; else conversations are laid out plainly."""
    system: bool = True
    """Whether what the system says first is shown."""
    tools: bool | None = None
    """Whether tools are shown; None: it is not known."""
    late_system: bool = True
    """Whether what the system says later is shown, where what it says first is."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What is fixed about an engine."""

    name: str
    model: str
    max_context_tokens: int
    max_branches: int  # requests that run at once; more would wait
    prefill_tokens_per_step: int  # prompt tokens that one step takes at most
    cache_block_tokens: int  # a continuation recomputes up to this many tokens
    seeded: bool  # whether a request's seed has an effect
    logprobs: bool = False  # whether it can give log probabilities, as it was started
    chat: ChatSupport = ChatSupport()
    vocabulary: int | None = None  # tokens that the model has; None: not known
    continues: bool = True
    """Whether a request may go on from tokens of another: forced answers, probes, forks and
    extensions. Else a race asks for none, and strategies that rest on them are refused."""
    thinking_budgets: bool = False
    """Whether it can end a request's thinking after some tokens, as it was started."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """A snapshot of what an engine is doing."""

    running: int = 0  # requests
    waiting: int = 0  # requests
    cache_usage: float = 0.0  # share of the KV cache held by requests, 0 to 1
    step_seconds: float | None = None  # a slow step (95th percentile) of late; None: none seen
    idle_step_seconds: float | None = None  # a usual step when it had least to do; None: not known
    token_seconds: float | None = None  # that a branch took for a token, of late; None: not known
    token_batch: float = 0.0  # branches that ran meanwhile, the mean
    acceptance_length: float | None = None  # tokens per step with speculation; None: not measured


class Engine(Protocol):
    """Runs requests. All methods are called from one event loop."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def failure(self) -> EngineError | None:
        """Why the engine cannot serve any more; None while it can."""
        ...

    async def start(self) -> None:
        """Get ready to serve, warmed up.

        Raises:
            EngineStartError: with the reason and what to do.

        Cancelling it leaves no process behind.
        """
        ...

    async def aclose(self) -> None:
        """Stop and free everything, child processes included. Idempotent.

        Cancelling it does not stop the freeing.
        """
        ...

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of bare text, without special tokens."""
        ...

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        """Token ids of a conversation up to where the assistant's turn begins.

        Args:
            tools: in OpenAI's form, for the model's chat template.
            arguments: variables of the chat template, over those that the engine was made with;
                not passed where there are none.

        Raises:
            BadRequest: if the model's chat template refuses the messages.
        """
        ...

    def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        """Run a request; the last chunk, and only it, has ``finish``.

        Close it with ``aclosing``. A consumer that is slow gets merged chunks, never fewer tokens.

        Raises:
            EngineError: this request is lost (``EngineDead``: all are).

        Cancelling or closing it ends the request; call ``abort`` first where it must be certain.
        """
        ...

    async def abort(self, request_ids: Sequence[str]) -> None:
        """End requests, in one message; ids unknown or ended already are ignored.

        Streams of aborted requests end with ``FinishReason.ABORT``. Returns once the engine has
        been told, which frees the requests within one step.
        """
        ...

    def load(self) -> EngineLoad:
        """What the engine is doing now."""
        ...


class TokenSink(Protocol):
    """Where an engine that ``SupportsFeeding`` puts what a request generates."""

    immediate: bool
    """Whether each piece is wanted as it comes. Else only the first one is: the engine may keep
    what follows until the request ends, or until ``catch_up`` is called."""
    catch_up: Callable[[], None] | None
    """Set by an engine that keeps things back: puts what has been generated by now. Called by
    whoever wants to know."""

    def put(self, text: str, token_ids: Sequence[int], confidences: Sequence[float] = ()) -> None:
        """A piece; the arguments are those of ``Chunk``. It is quick, raises nothing, and ignores
        what comes once the branch has ended."""
        ...

    def put_all(
        self,
        texts: Sequence[str],
        token_ids: Sequence[Sequence[int]],
        confidences: Sequence[float] = (),
    ) -> None:
        """Several pieces that came at once, in order.

        Args:
            token_ids: (num_pieces,) those of each piece.
            confidences: of all their tokens.
        """
        ...


@runtime_checkable
class SupportsFeeding(Protocol):
    """An engine that tells what it generates by a call where it arises. Many branches get a token
    each in one step of an engine: to wake a task for each of them costs many times what it takes to
    note it down."""

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        """Run a request, as ``generate`` does; returns why it ended, once all was put.

        Raises:
            EngineError: as ``generate``.

        Cancelling it ends the request; call ``abort`` first where it must be certain.
        """
        ...


def feeding(engine: Engine) -> SupportsFeeding | None:
    """``engine``, if it feeds what it generates. One that has a ``generate`` of its own over an
    inherited ``feed`` does not: whoever made it knew of no other way in."""
    if not hasattr(engine, "feed"):  # asked for each race, and isinstance takes ten times as long
        return None
    for namespace in (getattr(engine, "__dict__", {}), *map(vars, type(engine).__mro__)):
        if "feed" in namespace:
            break
        if "generate" in namespace:
            return None
    return cast(SupportsFeeding, engine)


@runtime_checkable
class SupportsRawPrompts(Protocol):
    """An engine with one more ability than ``Engine``: special tokens of its model's own."""

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        """Token ids of a raw prompt, with the special tokens that the model's tokenizer puts
        around a text by itself: a beginning of sequence (BOS), say, but never a second one."""
        ...


@runtime_checkable
class SupportsPromptEnds(Protocol):
    """An engine whose token ids may stand for a text that it has not tokenised."""

    def prompt_end(self, prompt: Sequence[int]) -> str | None:
        """How the text that ``prompt`` stands for ends, a few dozen characters; None: nobody
        knows, since the endpoint makes it of a conversation."""
        ...


@dataclass(frozen=True, slots=True)
class ToolTurn:
    """The results of the calls that a branch has made."""

    calls: Sequence[tuple[str, Mapping[str, Any]]]  # name and arguments
    results: Sequence[str]  # one of each call
    last_token: int | None  # the one that the branch's turn ended with
    tools: Sequence[Mapping[str, Any]]  # that were offered, in OpenAI's form
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of the chat template


@runtime_checkable
class SupportsToolTurns(Protocol):
    """An engine whose branches can go on with the results of their calls."""

    def tool_turn(self, turn: ToolTurn) -> tuple[int, ...]:
        """Token ids of what its model's chat template puts between the end of the assistant's turn
        and the beginning of the next one.

        Raises:
            BadRequest: the template refuses it.
        """
        ...


def takes_tool_turns(engine: Engine) -> bool:
    """Whether branches of ``engine`` can go on with the results of their calls. One that stands for
    others has ``takes_tool_turns`` to say whether these can."""
    # Asked for each race; isinstance with a protocol takes ten times as long.
    return hasattr(engine, "tool_turn") and getattr(engine, "takes_tool_turns", True)


@runtime_checkable
class SupportsReasoningParsers(Protocol):
    """An engine that can ask vLLM's reasoning parsers."""

    def reasoning_marks(self, parser: str) -> tuple[str, str]:
        """The marks that open and end a thinking, as the parser of this name has them.

        Raises:
            EngineStartError: there is no such parser, it does not fit the model's tokenizer, or it
                knows no marks; it says what to do.
        """
        ...


@runtime_checkable
class TakesThinking(Protocol):
    """An engine that learns only after its start how its model marks its thinking, as the model's
    name is then known."""

    def take_thinking(self, thinking: ThinkingSettings) -> None: ...


@runtime_checkable
class CountsRestarts(Protocol):
    """An engine that starts again what it lost."""

    @property
    def restarts(self) -> int:
        """How often something was started again."""
        ...


@runtime_checkable
class SupportsTokenIds(Protocol):
    """An engine of which not every kind takes prompts as token ids."""

    @property
    def takes_token_ids(self) -> bool:
        """Whether a prompt may be token ids of the model's tokenizer; else ids spell a text."""
        ...

    async def tokenized(self, text: str) -> tuple[int, ...] | None:
        """The model's own token ids of bare text; None: nobody can be asked.

        Raises:
            EngineError: there was no answer.
        """
        ...


@runtime_checkable
class RunsBeside(Protocol):
    """An engine with work of its own while it serves, such as to look after its health, or to
    start again what was lost."""

    async def run_beside(self) -> None:
        """Do it until cancelled; the engine was started. It raises nothing else, and ends by
        itself where nothing more can be done."""
        ...


@runtime_checkable
class HasReplicas(Protocol):
    """An engine that hands each race to one of several servers, as a router's address does: what is
    lost or stalled there may be well elsewhere, under another name of the race."""

    @property
    def replicas(self) -> int:
        """How many there are; 1: it is one server."""
        ...


@runtime_checkable
class SharesSlots(Protocol):
    """An engine that cannot run as many requests at all times."""

    @property
    def slots(self) -> int:
        """Requests that it can run at once as it is now, ``EngineInfo.max_branches`` at most."""
        ...


def shared_slots(engine: Engine) -> int | None:
    """Requests that an engine which ``SharesSlots`` can run at once as it is now; None: others can
    run the same number at all times."""
    return getattr(engine, "slots", None)  # asked for each race, and isinstance takes longer


def encode_prompt(engine: Engine, text: str) -> tuple[int, ...]:
    """Token ids of a raw prompt as ``engine``'s model reads one."""
    if isinstance(engine, SupportsRawPrompts):
        return engine.encode_prompt(text)
    return engine.encode(text)


@dataclass(slots=True)
class StepTimes:
    """Recent step durations of an engine, in seconds.

    What they say gets old: an engine that was slow, and was then asked nothing, would else be slow
    for ever, as nobody whose deadline is short is let through to see it. So slow steps fade, once
    no more are measured, towards what the engine showed when it had least to do.
    """

    window: int = 64
    clock: Callable[[], float] = monotonic
    """Seconds."""
    _times: deque[float] = field(default_factory=deque[float])
    _last: float = 0.0  # when the last one was measured
    _idle: float | None = None

    def add(self, seconds: float) -> None:
        self._times.append(seconds)
        self._last = self.clock()
        if len(self._times) > self.window:
            self._times.popleft()

    def quantile(self, q: float) -> float | None:
        """The ``q``-quantile of the window, faded; None while it is empty."""
        if not self._times:
            return None
        ordered = sorted(self._times)
        measured = ordered[min(len(ordered) - 1, int(q * len(ordered)))]
        idle = self._find_idle(ordered)
        if measured <= idle:
            return measured
        age = max(0.0, self.clock() - self._last)
        # Never above what was measured, as rounding might put it.
        return min(measured, idle + (measured - idle) * 0.5 ** (age / _HALF_LIFE))

    @property
    def idle(self) -> float | None:
        """The least that the median of a window was; None while none was seen."""
        return self._find_idle(sorted(self._times)) if self._times else None

    def _find_idle(self, ordered: Sequence[float]) -> float:
        median = ordered[len(ordered) // 2]
        if self._idle is None or (median < self._idle and len(ordered) >= _MIN_STEPS):
            self._idle = median
        return self._idle


@dataclass(slots=True)
class TokenTimes:
    """How fast branches were of late, all that is in their way included: prompts taken in, drafts
    that were not accepted."""

    window: int = 128
    """Steps."""
    _steps: deque[tuple[float, int, int]] = field(default_factory=deque[tuple[float, int, int]])

    def add(self, seconds: float, batch: int, tokens: int) -> None:
        """A step of ``batch`` branches, which got ``tokens`` tokens together."""
        self._steps.append((seconds, batch, tokens))
        if len(self._steps) > self.window:
            self._steps.popleft()

    @property
    def seconds(self) -> float | None:
        """For one token of one branch; None while there was none."""
        tokens = sum(n for _, _, n in self._steps)
        return sum(s * b for s, b, _ in self._steps) / tokens if tokens else None

    @property
    def batch(self) -> float:
        """Branches in the batch, the mean over time."""
        seconds = sum(s for s, _, _ in self._steps)
        return sum(s * b for s, b, _ in self._steps) / seconds if seconds else 0.0
