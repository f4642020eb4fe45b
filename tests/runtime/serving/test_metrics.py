"""What is counted, and that all of it is, once."""

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import orjson
import pytest
import trio.testing
from aiohttp import ClientSession, web
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, Gauge, Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from tests.backends import STEADY_ASYNCIO
from tests.profiles import examples

import frontrunner
from frontrunner.runtime.engines.scripted import BranchScript
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.observability.metrics import Metrics, add_routes
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ...backends import run_virtual
from ..race_harness import WatchedEngine, fails, forced_says, says, stalls
from .raw_http import listening

GRAFANA = Path(frontrunner.__file__).parent / "configs" / "grafana.json"


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """In virtual time, but for what needs a socket."""
    if getattr(request, "param", "virtual") == "asyncio":
        return STEADY_ASYNCIO
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


on_sockets = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


def sums(metrics: Metrics, name: str, label: str) -> dict[str, float]:
    """A counter by one of its labels, without the zeros."""
    (family,) = (f for f in parsed(metrics) if f.name == name)
    return {
        sample.labels[label]: sample.value
        for sample in family.samples
        if sample.name == f"{name}_total" and sample.value
    }


def parsed(metrics: Metrics) -> list[Metric]:
    text, _ = metrics.exposition()
    return list(text_string_to_metric_families(text.decode()))


# ── races ─────────────────────────────────────────────────────────────────────────────────────

scripts = st.lists(
    st.sampled_from(
        [says("1", 1.0), says("2", 3.0), says(None, 2.0), stalls("hm", after=1.0), fails(after=1.0)]
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=examples(100))
@given(scripts, st.booleans(), st.sampled_from([2.5, 10.0]))
def test_every_branch_and_token_of_a_race_is_counted_once(
    branches: list[BranchScript], answers_when_forced: bool, deadline: float
) -> None:
    metrics = Metrics()
    forced = forced_says("1") if answers_when_forced else stalls()
    engine = WatchedEngine(branches, forced=[forced])

    async def race() -> Result:
        async with Runtime(engine, observers=[metrics]) as runtime:
            return await runtime.solve("?", branches=len(branches), deadline=deadline)

    result = run_virtual(race)
    assert sums(metrics, "frontrunner_requests", "stop_reason") == {result.stop_reason: 1}
    outcomes = sums(metrics, "frontrunner_branches", "outcome")
    assert outcomes == {
        status.value: result.counted(status) for status in BranchStatus if result.counted(status)
    }
    tokens = sums(metrics, "frontrunner_tokens", "fate")
    assert tokens.get("kept", 0) + tokens.get("wasted", 0) == result.tokens_generated
    assert tokens.get("saved", 0) == result.tokens_saved
    voters = [b for b in result.branches if b.answer is not None]
    assert tokens.get("kept", 0) == sum(b.tokens + b.probe_tokens for b in voters)
    assert metrics.value("frontrunner_prompt_tokens_total") == result.prompt_tokens
    assert metrics.value("frontrunner_time_to_decision_seconds_sum") == result.elapsed
    assert metrics.value("frontrunner_deadline_overshoot_seconds_bucket", le="0.0") == 1
    assert metrics.value("frontrunner_races_running") == 0


async def test_a_race_that_is_given_up_is_counted_with_what_it_cost() -> None:
    metrics = Metrics()
    engine = WatchedEngine([says("1", 1.0), stalls("hm", after=0.5)])
    async with Runtime(engine, observers=[metrics]) as runtime:
        with anyio.move_on_after(2.0):
            await runtime.solve("?", branches=2, deadline=10.0, parameters={"stop": "none"})
        assert metrics.value("frontrunner_races_running") == 0
    assert sums(metrics, "frontrunner_requests", "stop_reason") == {"cancelled": 1}
    assert sums(metrics, "frontrunner_branches", "outcome") == {"finished": 1, "cancelled": 1}
    assert sums(metrics, "frontrunner_tokens", "fate") == {"kept": 8, "wasted": 4}
    assert metrics.value("frontrunner_time_to_decision_seconds_count") == 0


async def test_running_races_are_counted_while_they_run() -> None:
    metrics = Metrics()
    engine = WatchedEngine([says("1", 1.0)])
    async with Runtime(engine, observers=[metrics]) as runtime:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(lambda: runtime.solve("?", branches=1, deadline=10.0))
            await anyio.sleep(0.5)
            assert metrics.value("frontrunner_races_running") == 3
        assert metrics.value("frontrunner_races_running") == 0
        assert sum(sums(metrics, "frontrunner_requests", "stop_reason").values()) == 3


async def test_aborts_are_timed_and_lost_ones_counted() -> None:
    metrics = Metrics()
    engine = WatchedEngine([says("1", 1.0), says("1", 1.0), stalls()], abort_delay=float("inf"))
    async with Runtime(engine, observers=[metrics]) as runtime:
        await runtime.solve("?", branches=3, deadline=10.0)
    lost = metrics.value("frontrunner_aborts_timed_out_total")
    assert lost == metrics.value("frontrunner_abort_seconds_count") == 1
    assert metrics.value("frontrunner_abort_seconds_sum") == pytest.approx(1.0)


def test_a_late_result_counts_by_how_late_it_is() -> None:
    metrics = Metrics()
    metrics.count(Result("r", "1", "", 1.0, StopReason.DEADLINE, elapsed=5.03, deadline=5.0))
    name = "frontrunner_deadline_overshoot_seconds_bucket"
    assert metrics.value(name, le="0.02") == 0
    assert metrics.value(name, le="0.05") == 1


# ── exposition ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def vllm_metric() -> Iterator[None]:
    """As vLLM registers its own, and one of somebody else's."""
    gauges = [Gauge("vllm:num_requests_running", "x", ["engine"]), Gauge("others_business", "x")]
    gauges[0].labels("0").set(7)
    yield
    for gauge in gauges:
        REGISTRY.unregister(gauge)


@pytest.mark.usefixtures("vllm_metric")
async def test_an_exposition_holds_ours_the_engines_and_vllms_and_no_others() -> None:
    metrics = Metrics()
    engine, families = WatchedEngine([stalls("hm")]), list[Metric]()
    async with Runtime(engine, observers=[metrics]) as runtime, anyio.create_task_group() as tasks:
        metrics.read_load(runtime)
        tasks.start_soon(lambda: runtime.solve("?", branches=3, deadline=10.0))
        await anyio.sleep(1.0)
        families = parsed(metrics)
        tasks.cancel_scope.cancel()
    samples = {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples["frontrunner_engine_requests", (("state", "running"),)] == 3
    assert samples["frontrunner_admission_places", ()] == 256
    assert samples["frontrunner_admission_places_free", ()] == 253
    assert samples["frontrunner_admission_waiting", ()] == 0
    assert samples["frontrunner_engine_step_seconds", ()] == pytest.approx(0.01)
    assert samples["vllm:num_requests_running", (("engine", "0"),)] == 7
    assert all(name.startswith(("frontrunner_", "vllm:")) for name, _ in samples)
    assert len({family.name for family in families}) == len(families)


def test_nothing_is_added_to_the_processs_registry_and_several_live_side_by_side() -> None:
    def names() -> set[str]:
        return {family.name for family in REGISTRY.collect()}

    before = names()
    first, second = Metrics(), Metrics()
    first.loop_lag(0.5)
    assert first.value("frontrunner_event_loop_lag_seconds_count") == 1
    assert second.value("frontrunner_event_loop_lag_seconds_count") == 0
    assert names() == before


@pytest.mark.usefixtures("vllm_metric")
def test_it_is_also_said_in_the_openmetrics_format() -> None:
    text, content_type = Metrics().exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.count(b"# EOF") == 1
    families = openmetrics_parser.text_string_to_metric_families(
        # Its parser does not read the colon that its writer lets pass.
        re.sub(r"vllm:\w+", "vllm_metric", text.decode())
    )
    assert "frontrunner_requests" in {family.name for family in families}


# ── over sockets ──────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def serving(metrics: Metrics) -> AsyncGenerator[ClientSession, None]:
    async def fine(request: web.Request) -> web.Response:
        return web.Response()

    async def socket(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for _ in response:
            raise ZeroDivisionError
        return response

    app = web.Application()
    app.router.add_get("/items/{id}", fine)
    app.router.add_get("/socket", socket)
    add_routes(app, metrics)
    async with listening(app) as port, ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


@on_sockets
async def test_responses_are_counted_by_route_and_not_by_path() -> None:
    metrics = Metrics()
    async with serving(metrics) as session:
        for path in ("/items/1", "/items/2", "/a", "/b", "/metrics"):
            async with session.get(path) as response:
                text = await response.text()
    name = "frontrunner_http_responses_total"
    assert metrics.value(name, route="/items/{id}", status="200") == 2
    assert metrics.value(name, route="unknown", status="404") == 2
    assert "/items/1" not in text
    assert 'frontrunner_http_responses_total{route="/items/{id}",status="200"} 2.0' in text


@on_sockets
async def test_websockets_are_counted_until_they_end_however_they_end() -> None:
    metrics = Metrics()
    name = "frontrunner_websocket_connections"
    async with serving(metrics) as session:
        first, second = await session.ws_connect("/socket"), await session.ws_connect("/socket")
        assert metrics.value(name) == 2
        await first.close()
        await second.send_str("break")
        await second.receive()
        async with session.get("/items/1"):
            pass
    assert metrics.value(name) == 0
    assert metrics.value(f"{name}_opened_total") == 2


# ── the dashboard ─────────────────────────────────────────────────────────────────────────────


async def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard = orjson.loads(GRAFANA.read_bytes())
    panels = dashboard["panels"]
    asked = {
        name
        for panel in panels
        for target in panel.get("targets", [])
        for name in re.findall(r"frontrunner_\w+", target["expr"])
    }
    metrics = Metrics()
    async with Runtime(WatchedEngine([]), observers=[metrics]) as runtime:
        metrics.read_load(runtime)
        metrics.loop_lag(0.0)
        families = parsed(metrics)
    samples = {sample.name for family in families for sample in family.samples}
    # Only there once something has happened, or on some engines and systems.
    samples |= {
        "frontrunner_http_responses_total",
        "frontrunner_acceptance_length",
        "frontrunner_engine_restarts_total",
        "frontrunner_member_ready",
        "frontrunner_member_token_seconds",
        "frontrunner_member_moved_away",
        "frontrunner_process_resident_memory_bytes",
        "frontrunner_process_cpu_seconds_total",
        "frontrunner_process_open_fds",
    }
    assert asked <= samples
    ours = {family.name for family in families if "process" not in family.name}
    unseen = {name for name in ours if not any(a.startswith(name) for a in asked)}
    assert {name for name in unseen if not name.endswith("_created")} <= {
        "frontrunner_websocket_connections_opened",
        # Of programs that have tools of their own.
        "frontrunner_tool_calls",
        "frontrunner_tool_wait_seconds",
    }
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_dashboards_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in orjson.loads(GRAFANA.read_bytes())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
