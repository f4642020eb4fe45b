"""Calls of tools in metrics, traces and on the wire."""

import orjson

from frontrunner import Runtime
from frontrunner.agents import Tool
from frontrunner.events import Event, ToolCalled, ToolReturned
from frontrunner.runtime.cli.display.ndjson import event_line
from frontrunner.runtime.events.event_lines import read_event
from frontrunner.runtime.serving.observability.metrics import Metrics
from frontrunner.runtime.serving.replies.race_events import extra_frame, extra_payload
from frontrunner.runtime.traces.recorder import TraceRecorder

from .calling import SETTINGS, CallingEngine, call, says


async def double(x: int) -> int:
    """Doubles."""
    if x == 3:
        raise ValueError("three")
    return 2 * x


async def observed() -> tuple[list[Event], Metrics]:
    engine = CallingEngine(
        [
            [call("double", {"x": 2}), says("4")],
            [call("double", {"x": 2}), says("4")],
            [call("double", {"x": 3})],
        ]
    )
    metrics = Metrics()
    async with (
        Runtime(engine, SETTINGS, tools=[Tool(double)], observers=[metrics]) as runtime,
        runtime.stream("?", deadline=9.0, branches=3, parameters={"stop": "none"}) as events,
    ):
        return [event async for event in events], metrics


async def test_metrics_count_calls_and_what_was_shared() -> None:
    _, metrics = await observed()

    def count(outcome: str, shared: str) -> float | None:
        labels = {"tool": "double", "outcome": outcome, "shared": shared}
        return metrics.value("frontrunner_tool_calls_total", **labels)

    assert count("returned", "false") == 1
    assert count("returned", "true") == 1
    assert count("failed", "false") == 1
    assert metrics.value("frontrunner_tool_wait_seconds_count", tool="double") == 3


async def test_a_trace_holds_calls_with_their_results() -> None:
    events, _ = await observed()
    recorder = TraceRecorder(question="?", gold="4")
    for event in events:
        recorder.push(event)
    branches = orjson.loads(recorder.line())["branches"]
    first = branches[0]["calls"][0]
    assert (first["name"], first["arguments"]) == ("double", '{"x":2}')
    assert (first["outcome"], first["result"], first["at"]) == ("returned", "4", 1.0)
    assert branches[2]["calls"][0]["outcome"] == "failed"
    assert sorted(b["calls"][0]["shared"] for b in branches) == [False, False, True]


async def test_events_of_tools_can_be_written_and_read() -> None:
    events, _ = await observed()
    told = [event for event in events if isinstance(event, ToolCalled | ToolReturned)]
    assert len(told) == 6
    for event in told:
        assert read_event(event_line(event)) == event
        extra_frame(event, named=True)
    kinds = {extra_payload(event)["type"] for event in told}
    assert kinds == {"frontrunner.tool.called", "frontrunner.tool.returned"}
