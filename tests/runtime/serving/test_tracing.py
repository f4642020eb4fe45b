"""Spans, with OpenTelemetry's own SDK."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
import trio.testing
from aiohttp import ClientSession, web
from tests.backends import STEADY_ASYNCIO

from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.observability.tracing import make_tracing, trace_middleware

from ..race_harness import WatchedEngine, forced_says, says, stalls
from .raw_http import listening

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """In virtual time, but for what needs a socket."""
    if getattr(request, "param", "virtual") == "asyncio":
        return STEADY_ASYNCIO
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Spans:
    """All spans of races."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        tracing = make_tracing(provider)
        assert tracing is not None
        self.tracing = tracing

    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def one(self) -> tuple[ReadableSpan, Mapping[str, Any]]:
        (span,) = self.all()
        return span, dict(span.attributes or {})


async def test_a_race_is_a_span_with_what_was_asked_and_what_came_out() -> None:
    spans = Spans()
    engine = WatchedEngine([says("secret answer", 1.0), says("secret answer", 1.0), stalls("hm")])
    async with Runtime(engine, observers=[spans.tracing]) as runtime:
        result = await runtime.solve(
            "secret question", branches=3, deadline=10.0, seed=5, stop=["END"], top_k=7
        )
    span, attributes = spans.one()
    assert span.name == "chat scripted"
    assert span.kind is SpanKind.INTERNAL
    assert span.parent is None
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.request.model"] == "scripted"
    assert attributes["gen_ai.request.seed"] == 5
    assert attributes["gen_ai.request.top_k"] == 7
    assert attributes["gen_ai.request.stop_sequences"] == ("END",)
    assert attributes["gen_ai.response.id"] == result.race_id
    assert attributes["gen_ai.usage.input_tokens"] == result.prompt_tokens
    (tokens,) = {branch.tokens for branch in result.branches if branch.text == result.text}
    assert attributes["gen_ai.usage.output_tokens"] == tokens
    assert attributes["frontrunner.tokens_generated"] == result.tokens_generated >= 2 * tokens
    assert attributes["frontrunner.deadline"] == 10.0
    assert attributes["frontrunner.strategy"] == "majority"
    assert attributes["frontrunner.stop_reason"] == result.stop_reason.value
    assert attributes["frontrunner.branches.cancelled"] == 1
    assert [event.name for event in span.events] == ["frontrunner.decided"]
    assert "secret" not in span.to_json()


async def test_the_call_time_is_an_event_of_the_span() -> None:
    spans = Spans()
    engine = WatchedEngine([stalls("hm")], forced=[forced_says("1")])
    async with Runtime(engine, observers=[spans.tracing]) as runtime:
        await runtime.solve("?", branches=2, deadline=10.0)
    span, attributes = spans.one()
    assert [event.name for event in span.events] == ["frontrunner.call_time", "frontrunner.decided"]
    assert attributes["frontrunner.branches.forced"] == 2


async def test_a_race_that_is_given_up_is_a_span_that_says_so() -> None:
    spans = Spans()
    async with Runtime(WatchedEngine([stalls()]), observers=[spans.tracing]) as runtime:
        with anyio.move_on_after(1.0):
            await runtime.solve("?", branches=2, deadline=10.0)
    span, attributes = spans.one()
    assert attributes["error.type"] == "cancelled"
    assert span.end_time is not None


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_race_belongs_to_the_trace_that_its_request_names() -> None:
    spans = Spans()
    engine = WatchedEngine([says("1", 0.01)])
    middleware = trace_middleware()
    assert middleware is not None
    async with (
        Runtime(engine, observers=[spans.tracing]) as runtime,
        anyio.create_task_group() as tasks,
    ):

        async def handler(request: web.Request) -> web.Response:
            done = anyio.Event()

            async def race() -> None:
                await runtime.solve("?", branches=1, deadline=5.0)
                done.set()

            tasks.start_soon(race)  # in a task of its own, as the server's races are
            await done.wait()
            return web.Response()

        app = web.Application(middlewares=[middleware])
        app.router.add_get("/", handler)
        async with listening(app) as port, ClientSession(f"http://127.0.0.1:{port}") as session:
            for headers in ({"traceparent": f"00-{TRACE}-{PARENT}-01"}, {}, {"traceparent": "bad"}):
                async with session.get("/", headers=headers) as response:
                    assert response.status == 200
    named, *others = spans.all()
    assert named.parent is not None
    assert f"{named.parent.trace_id:032x}" == TRACE
    assert f"{named.parent.span_id:016x}" == PARENT
    assert named.kind is SpanKind.SERVER
    assert [span.parent for span in others] == [None, None]


def test_without_opentelemetry_there_is_no_tracing_and_nothing_else_is_missing() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from frontrunner.runtime.serving.observability import tracing as t\n"
        "assert t.make_tracing() is None and t.trace_middleware() is None"
    )
    package = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {package!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
