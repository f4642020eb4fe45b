"""OpenTelemetry: a span for each race, below the caller's if a request says whose it is.

Only the API is used, and only where it is installed (``pip install opentelemetry-api``, and an SDK
to configure it); without it, or while it is not configured, nothing is done. Questions and answers
are not recorded.

``gen_ai.usage.*`` is what OpenAI's ``usage`` is: the prompt, and the tokens of the branch that the
result shows, however many branches were raced. What the race cost is
``frontrunner.tokens_generated`` and ``frontrunner.tokens_saved``.

The names of the GenAI attributes are those of the semantic conventions
(https://github.com/open-telemetry/semantic-conventions-genai), which still change; they stand here
and nowhere else.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

import frontrunner
from frontrunner.strategies.protocol import BranchStatus

from ...events.types import CallTimeReached, Event, RaceDecided, ToolReturned
from ...racing.spec import RaceSpec
from ...result import Result
from ..replies.winner import shown_tokens

try:
    from opentelemetry import context, propagate, trace
except ImportError:
    context = propagate = trace = None

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

_OPERATION = "gen_ai.operation.name"
_PROVIDER = "gen_ai.provider.name"
_MODEL = "gen_ai.request.model"
_MAX_TOKENS = "gen_ai.request.max_tokens"
_TEMPERATURE = "gen_ai.request.temperature"
_TOP_P = "gen_ai.request.top_p"
_TOP_K = "gen_ai.request.top_k"
_SEED = "gen_ai.request.seed"
_STOP = "gen_ai.request.stop_sequences"
_RESPONSE = "gen_ai.response.id"
_INPUT_TOKENS = "gen_ai.usage.input_tokens"
_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
_ERROR = "error.type"

#: What of a request is looked at: no more than the propagation's own headers.
_CARRIED = ("traceparent", "tracestate", "baggage")


class Tracing:
    """An ``Observer`` of races that makes a span of each."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    def watch(self, spec: RaceSpec, model: str) -> "_RaceSpan":
        assert trace is not None
        parent = trace.get_current_span().get_span_context()
        span = self._tracer.start_span(
            f"chat {model}",
            kind=trace.SpanKind.SERVER if parent.is_remote else trace.SpanKind.INTERNAL,
            attributes=_asked(spec, model),
        )
        return _RaceSpan(span)


def make_tracing(provider: "TracerProvider | None" = None) -> Tracing | None:
    """Tracing with ``provider``, by default the process's; None if OpenTelemetry is not installed.

    Cheap while OpenTelemetry is not configured: its API then makes spans that record nothing.
    """
    if trace is None:
        return None
    return Tracing(trace.get_tracer("frontrunner", frontrunner.__version__, provider))


@web.middleware
async def _in_callers_trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    assert context is not None
    assert propagate is not None
    carrier = {name: value for name in _CARRIED if (value := request.headers.get(name))}
    token = context.attach(propagate.extract(carrier))
    try:
        return await handler(request)
    finally:
        context.detach(token)


def trace_middleware() -> Middleware | None:
    """Makes the trace that a request names (W3C Trace Context) the present one, for the races that
    its handler starts. None if OpenTelemetry is not installed."""
    return None if trace is None else _in_callers_trace


class _RaceSpan:
    """The span of one race."""

    hears_progress = False

    def __init__(self, span: "Span") -> None:
        self._span = span

    def event(self, event: Event) -> None:
        match event:
            case CallTimeReached():
                self._span.add_event(
                    "frontrunner.call_time", {"frontrunner.reserve": event.reserve}
                )
            case ToolReturned():
                self._span.add_event(
                    "frontrunner.tool",
                    {
                        "gen_ai.tool.name": event.name,
                        "frontrunner.branch": event.branch,
                        "frontrunner.outcome": event.outcome,
                        "frontrunner.seconds": event.seconds,
                    },
                )
            case RaceDecided():
                result = event.result
                self._span.add_event(
                    "frontrunner.decided",
                    {
                        "frontrunner.stop_reason": result.stop_reason.value,
                        "frontrunner.confidence": result.confidence,
                    },
                )
            case _:
                pass

    def aborted(self, seconds: float, requests: int, acknowledged: bool) -> None:
        if not acknowledged:
            self._span.add_event("frontrunner.abort_timed_out", {"frontrunner.requests": requests})

    def ended(self, result: Result | None) -> None:
        if result is None:
            self._span.set_attribute(_ERROR, "cancelled")
        else:
            self._span.set_attributes(_came_out(result))
        self._span.end()


def _asked(spec: RaceSpec, model: str) -> Mapping[str, Any]:
    sampling = spec.sampling
    attributes: dict[str, Any] = {
        _OPERATION: "chat",
        _PROVIDER: "frontrunner",
        _MODEL: model,
        _MAX_TOKENS: spec.max_tokens,
        _TEMPERATURE: sampling.temperature,
        _TOP_P: sampling.top_p,
        _INPUT_TOKENS: len(spec.prompt),
        _RESPONSE: spec.race_id,
        "frontrunner.deadline": spec.time_limit,
        "frontrunner.strategy": spec.strategy,
        "frontrunner.branches": spec.max_branches,
    }
    if sampling.top_k:
        attributes[_TOP_K] = sampling.top_k
    if sampling.stop:
        attributes[_STOP] = list(sampling.stop)
    if spec.seed is not None:
        attributes[_SEED] = spec.seed
    return attributes


def _came_out(result: Result) -> Mapping[str, Any]:
    count: Callable[[BranchStatus], int] = result.counted
    return {
        _OUTPUT_TOKENS: shown_tokens(result),
        "frontrunner.tokens_generated": result.tokens_generated,
        "frontrunner.stop_reason": result.stop_reason.value,
        "frontrunner.confidence": result.confidence,
        "frontrunner.elapsed": result.elapsed,
        "frontrunner.overshoot": max(0.0, result.elapsed - result.deadline),
        "frontrunner.tokens_saved": result.tokens_saved,
        "frontrunner.branches.finished": count(BranchStatus.FINISHED),
        "frontrunner.branches.truncated": count(BranchStatus.TRUNCATED),
        "frontrunner.branches.forced": count(BranchStatus.FORCED),
        "frontrunner.branches.cancelled": count(BranchStatus.CANCELLED),
        "frontrunner.branches.failed": count(BranchStatus.FAILED),
    }
