"""The plugin for vLLM's server, without vLLM: which requests are raced, by which settings, for how
long. ``tests/engine/test_vllm_plugin.py`` has a real server."""

from argparse import Namespace
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.errors import ConfigError
from frontrunner.runtime.serving.app import Host
from frontrunner.runtime.serving.observability.metrics import Metrics
from frontrunner.runtime.serving.responses.response_runs import PREFIX
from frontrunner.runtime.serving.vllm_plugin import VllmPlugin, plugin, server_settings
from frontrunner.runtime.serving.vllm_plugin.deadline_switch import DeadlineSwitch, asks_for_race
from frontrunner.runtime.serving.vllm_plugin.server_settings import (
    EngineFacts,
    for_server,
    read_settings,
    server_keys,
)

from .conftest import FORCED
from .test_asgi import listening

pytestmark = pytest.mark.slow  # it starts processes of its own

MODEL = Path(server_settings.__file__).parents[2] / "demo" / "model" / "target"
FACTS = EngineFacts("demo", str(MODEL), ("other",), max_requests=64, context_tokens=1024)
ARGS = Namespace(host=None, api_key=None, default_chat_template_kwargs=None)
RACED = b'{"messages": [], "frontrunner": {"deadline": 2}}'
ASK = {"model": "demo", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}


# ── which requests ────────────────────────────────────────────────────────────────────────────


class Asked:
    """An ASGI application that notes what it is asked."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.messages = [await receive()]
        while self.messages[-1].get("more_body"):
            self.messages.append(await receive())
        self.messages.append(await receive())


async def who_gets(
    path: str, pieces: Sequence[bytes] = (b"",), *, method: str = "POST", **scope: Any
) -> tuple[str, list[Any], list[Any]]:
    """Who is asked, what it was sent, and what the client sent."""
    theirs, ours = Asked(), Asked()
    last = len(pieces) - 1
    sent: list[Any] = [
        {"type": "http.request", "body": piece, "more_body": number < last}
        for number, piece in enumerate(pieces)
    ]
    sent.append({"type": "http.disconnect"})
    coming = iter(sent)

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    whole = {"type": "http", "method": method, "path": path, "headers": [], **scope}
    await DeadlineSwitch(theirs, ours)(whole, receive, send)
    assert not (theirs.messages and ours.messages)
    return ("ours", ours.messages, sent) if ours.messages else ("theirs", theirs.messages, sent)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
async def test_a_deadline_in_the_body_or_a_header_asks_for_a_race(path: str) -> None:
    header = [(b"x-frontrunner-deadline", b"2")]
    assert (await who_gets(path, [RACED]))[0] == "ours"
    assert (await who_gets(path, [b"{}"], headers=header))[0] == "ours"
    assert (await who_gets(path, [b"{}"]))[0] == "theirs"
    below = {"path": f"/llm{path}", "root_path": "/llm"}
    assert (await who_gets(pieces=[RACED], **below))[0] == "ours"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'"frontrunner"',
        b'["frontrunner"]',
        b'{"frontrunner": null}',
        b'{"messages": [{"content": "frontrunner"}]}',
        b'{"metadata": {"frontrunner": {"deadline": 2}}}',
        b'{"frontrunner": {"deadline": 2}',
        b"\xff" + RACED,
    ],
)
async def test_all_other_bodies_are_vllms(body: bytes) -> None:
    assert (await who_gets("/v1/chat/completions", [body]))[0] == "theirs"


@given(body=st.binary(max_size=64), cuts=st.lists(st.integers(0, 100), max_size=4))
async def test_what_is_taken_for_a_look_is_handed_on_as_it_came(
    body: bytes, cuts: list[int]
) -> None:
    for whole in (body, RACED):
        places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
        pieces = [whole[a:b] for a, b in pairwise(places)]
        who, got, sent = await who_gets("/v1/completions", pieces)
        assert got == sent
        assert who == ("ours" if whole == RACED else "theirs")
        assert asks_for_race(sent[:-1]) == (who == "ours")


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/embeddings", "/tokenize", "/v1/chat/completions/batch", "/", ""]
)
async def test_no_other_route_is_touched(path: str) -> None:
    header = [(b"x-frontrunner-deadline", b"2")]
    assert (await who_gets(path, [RACED], headers=header))[0] == "theirs"


async def test_responses_are_told_apart_by_their_ids() -> None:
    ours, vllms = f"/v1/responses/{PREFIX}{'a1' * 12}", f"/v1/responses/{PREFIX}{'a1' * 8}"
    assert (await who_gets(ours, method="GET"))[0] == "ours"
    assert (await who_gets(f"{ours}/cancel"))[0] == "ours"
    assert (await who_gets(vllms, method="GET"))[0] == "theirs"
    assert (await who_gets(f"{vllms}/cancel"))[0] == "theirs"


async def test_the_websocket_is_ours_and_others_are_not() -> None:
    assert (await who_gets("/v1/responses", type="websocket", method=""))[0] == "ours"
    assert (await who_gets("/v1/realtime", type="websocket", method=""))[0] == "theirs"


# ── settings ──────────────────────────────────────────────────────────────────────────────────


def test_settings_come_from_the_file_that_the_environment_names(tmp_path: Path) -> None:
    file = tmp_path / "races.toml"
    file.write_text("[vllm_plugin]\nin_place = true\nprefix = '/races'\n")
    assert read_settings({"FRONTRUNNER_CONFIG": str(file)}).vllm_plugin.in_place
    assert read_settings({"FRONTRUNNER_CONFIG": ""}) == read_settings({}) == Settings()
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        read_settings({"FRONTRUNNER_CONFIG": str(tmp_path / "nowhere.toml")})


def test_a_second_engine_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "races.toml"
    file.write_text("[rewards]\nkind = 'pooling'\nmodel = 'demo-reward'\n")
    with pytest.raises(ConfigError, match=r"rewards\.kind.*remote"):
        read_settings({"FRONTRUNNER_CONFIG": str(file)})


@pytest.mark.parametrize("prefix", ["", "/", "races", "/races/", "/a b", "/a//b", "/é"])
def test_a_prefix_is_a_path(prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"vllm_plugin\.prefix"):
        Settings.from_dict({"vllm_plugin": {"prefix": prefix}})


def test_the_servers_engine_is_what_vllm_says_it_is() -> None:
    settings = for_server(Settings(), ARGS, FACTS)
    assert (settings.engine.model, settings.engine.max_branches) == ("demo", 64)
    assert settings.engine.max_context_tokens == 1024
    assert settings.server.model == "demo"
    assert settings.server.host == "0.0.0.0"  # where vLLM listens: pages of others must be named


def test_a_small_engine_has_smaller_races_unless_they_were_asked_for() -> None:
    small = EngineFacts("demo", str(MODEL), (), max_requests=4, context_tokens=1024)
    settings = for_server(Settings(), ARGS, small)
    assert (settings.race.branches, settings.engine.max_branches) == (4, 4)
    asked = Settings.from_dict({"race": {"branches": 8}})
    with pytest.raises(ConfigError, match=r"race\.branches: 8 exceeds the 4"):
        for_server(asked, ARGS, small)


@pytest.mark.parametrize(
    ("ranks", "beside", "own_balancer", "servers", "requests"),
    [
        (1, 1, False, 1, 64),
        (4, 4, False, 1, 256),  # one server over all ranks
        (4, 4, False, 4, 64),
        (4, 1, True, 1, 64),  # --data-parallel-external-lb: a server beside each rank
        (4, 2, True, 1, 128),  # --data-parallel-hybrid-lb: one on each machine
    ],
)
def test_a_server_races_on_the_ranks_that_it_sends_requests_to(
    ranks: int, beside: int, own_balancer: bool, servers: int, requests: int
) -> None:
    parallel = Namespace(
        data_parallel_size=ranks, data_parallel_size_local=beside, local_engines_only=own_balancer
    )
    config = Namespace(
        model_config=Namespace(served_model_name="demo", model=str(MODEL), max_model_len=1024),
        scheduler_config=Namespace(max_num_seqs=64),
        parallel_config=parallel,
    )
    client: Any = Namespace(vllm_config=config, _client_count=servers)
    assert EngineFacts.read(client).max_requests == requests


def test_engine_max_branches_is_the_share_of_races() -> None:
    settings = Settings.from_dict({"engine": {"max_branches": 20}})
    assert for_server(settings, ARGS, FACTS).engine.max_branches == 20


def test_the_servers_template_variables_are_used_unless_ours_say_otherwise() -> None:
    args = Namespace(**{**vars(ARGS), "default_chat_template_kwargs": {"a": 1, "b": 1}})
    settings = Settings.from_dict({"prompt": {"template_arguments": {"b": 2}}})
    told = for_server(settings, args, FACTS).prompt.template_arguments
    assert told == {"a": 1, "b": 2}


def test_what_has_no_effect_is_said() -> None:
    settings = Settings.from_dict(
        {"engine": {"dtype": "float16"}, "server": {"port": 9, "body_limit": 9}}
    )
    assert server_settings._ignored(settings) == ["engine.dtype", "server.port"]
    assert server_settings._ignored(Settings.from_dict({"engine": {"model": "demo"}})) == []


def test_vllms_keys_are_the_argument_or_else_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert server_keys(ARGS) == ()
    monkeypatch.setenv("VLLM_API_KEY", "of-the-environment")
    assert [key for _, key in server_keys(ARGS)] == ["of-the-environment"]
    given = Namespace(api_key=["a", "", "b", "a"])
    assert [key for _, key in server_keys(given)] == ["a", "b"]


# ── on a server ───────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def vllm_like(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, **told: Any
) -> AsyncGenerator[tuple[ClientSession, ScriptedEngine, list[str]], None]:
    """A server made as vLLM makes its own: routes, plugin, state, lifespan."""
    fastapi = pytest.importorskip("fastapi")
    monkeypatch.setattr(plugin, "REGISTRY", registry)
    settings = Settings.from_dict({"server": {"drain_grace": 0.0}, **told})
    monkeypatch.setattr(plugin, "read_settings", lambda _: settings)
    life: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None, None]:
        life.append("vLLM's engine runs")
        yield
        life.append("vLLM ends")

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.post("/v1/chat/completions")
    async def chat(body: dict[str, Any]) -> Any:
        return {"vllm": body}

    engine = ScriptedEngine(
        Script((BranchScript.answering("42", seconds=0.02),), forced=(FORCED,)),
        step_seconds=0.001,
    )
    races = VllmPlugin()
    races.attach_router(app)
    host = Host((("vllm-api-key-1", "key"),), ("alias",), Metrics())
    races.race_on(engine, for_server(settings, ARGS, FACTS), host)
    async with (
        listening(app) as port,
        ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer key"}) as http,
    ):
        yield http, engine, life
    assert life == ["vLLM's engine runs", "vLLM ends"]
    assert engine.failure is not None  # let go


async def test_races_run_below_the_prefix_and_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    async with vllm_like(registry, monkeypatch, vllm_plugin={"in_place": True}) as (http, _, _):
        for path in ("/frontrunner/v1/chat/completions", "/v1/chat/completions"):
            body = {**ASK, "frontrunner": {"deadline": 5}}
            async with http.post(path, json=body) as response:
                assert (await response.json())["frontrunner"]["answer"] == "42"
        async with http.post("/v1/chat/completions", json=ASK) as response:
            assert await response.json() == {"vllm": ASK}
        assert registry.get_sample_value(
            "frontrunner_requests_total", {"stop_reason": "confident_majority"}
        )


async def test_responses_and_their_websocket_are_served_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = CollectorRegistry()
    async with vllm_like(registry, monkeypatch, vllm_plugin={"in_place": True}) as (http, _, _):
        asked = {"model": "demo", "input": "What is 6 times 7?", "frontrunner": {"deadline": 5}}
        async with http.post("/v1/responses", json=asked) as response:
            made = await response.json()
        async with http.get(f"/v1/responses/{made['id']}") as response:
            assert await response.json() == made
        async with http.ws_connect("/v1/responses") as socket:
            await socket.send_json({"type": "response.create", **asked})
            event = await socket.receive_json()
            while event["type"] not in ("response.completed", "error"):
                event = await socket.receive_json()
        assert event["type"] == "response.completed"


async def test_vllms_routes_stay_its_own_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with vllm_like(CollectorRegistry(), monkeypatch) as (http, engine, _):
        before = len(engine.requests)
        body = {**ASK, "frontrunner": {"deadline": 5}}
        async with http.post("/v1/chat/completions", json=body) as response:
            assert await response.json() == {"vllm": body}
        assert len(engine.requests) == before


async def test_the_keys_of_the_server_open_races_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with vllm_like(CollectorRegistry(), monkeypatch) as (http, _, _):
        path = "/frontrunner/v1/models"
        async with http.get(path, headers={"Authorization": "Bearer other"}) as response:
            assert response.status == 401
        async with http.get(path) as response:
            assert [m["id"] for m in (await response.json())["data"]] == ["demo", "alias"]
        async with http.get(f"{path}/alias") as response:
            assert (await response.json())["id"] == "alias"
        body = {**ASK, "model": "alias"}
        async with http.post("/frontrunner/v1/chat/completions", json=body) as response:
            assert (await response.json())["model"] == "alias"


def test_a_prefix_with_routes_of_vllms_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fastapi = pytest.importorskip("fastapi")
    monkeypatch.setattr(
        plugin,
        "read_settings",
        lambda _: Settings.from_dict({"vllm_plugin": {"prefix": "/v1"}}),
    )
    app = fastapi.FastAPI()
    app.get("/v1/models")(lambda: None)
    with pytest.raises(ConfigError, match="vLLM itself serves /v1/models"):
        VllmPlugin().attach_router(app)


async def test_without_an_engine_races_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fastapi = pytest.importorskip("fastapi")
    monkeypatch.setattr(plugin, "read_settings", lambda _: Settings())
    app, races = fastapi.FastAPI(), VllmPlugin()
    races.attach_router(app)
    await races.init_state(None, app.state, ARGS)
    async with (
        listening(app) as port,
        ClientSession(f"http://127.0.0.1:{port}") as http,
        http.post("/frontrunner/v1/chat/completions", json=ASK) as response,
    ):
        assert response.status == 503
