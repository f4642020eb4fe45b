"""The server as an ASGI application, under uvicorn, in Starlette and FastAPI."""

import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import ClientSession, WSServerHandshakeError
from openai import APIStatusError, AsyncOpenAI, BadRequestError
from tests.backends import STEADY_ASYNCIO, no_tasks_left, tasks_alive, until

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.errors import ConfigError, EngineClosed
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.app import create_app
from frontrunner.runtime.serving.asgi_adapter import application
from frontrunner.runtime.serving.asgi_adapter.application import AsgiApp, _folder, asgi
from frontrunner.runtime.serving.asgi_adapter.relay import route, sendable
from frontrunner.runtime.serving.runs.run import RUNS

from .conftest import ENDLESS, FORCED, Served
from .sockets import TERMINAL, dial

uvicorn = pytest.importorskip("uvicorn")
starlette = pytest.importorskip("starlette.applications")
routing = pytest.importorskip("starlette.routing")
fastapi = pytest.importorskip("fastapi")

ANSWER = BranchScript.answering("42", seconds=0.02)


def scripted(*branches: BranchScript, **server: Any) -> Runtime:
    engine = ScriptedEngine(Script(branches or (ANSWER,), forced=(FORCED,)), step_seconds=0.001)
    return Runtime(engine, Settings.from_dict({"server": server}))


@asynccontextmanager
async def listening(app: Any, **settings: Any) -> AsyncGenerator[int, None]:
    """Uvicorn with ``app``, on a port."""
    before = tasks_alive()
    config = uvicorn.Config(app, port=0, log_config=None, **{"lifespan": "on", **settings})
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        await until(lambda: server.started or server.should_exit)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
    await until(lambda: tasks_alive() <= before)  # it does not wait for all of its own


@asynccontextmanager
async def served(
    app: Any, runtime: Runtime, place: str = "", **settings: Any
) -> AsyncGenerator[Served, None]:
    """``app``, in which the server is found at ``place``, and who talks to it."""
    engine = runtime.engine
    assert isinstance(engine, ScriptedEngine)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(app, **settings))
        base = f"http://127.0.0.1:{port}{place}/"
        http = await stack.enter_async_context(ClientSession(base))
        openai = await stack.enter_async_context(
            AsyncOpenAI(base_url=f"{base}v1", api_key="none", max_retries=0)
        )
        yield Served(None, None, runtime, engine, http, openai, port)  # type: ignore[arg-type]


def by_itself(runtime: Runtime) -> Any:
    """The application alone, with a lifespan of its own that also enters the runtime."""
    app = asgi(runtime)

    async def run(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            async with runtime:
                await app(scope, receive, send)
        else:
            await app(scope, receive, send)

    return run


def in_fastapi(runtime: Runtime) -> Any:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None, None]:
        async with runtime:
            yield

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/mine")
    async def mine() -> str:
        return "mine"

    app.mount("/llm", asgi(runtime))
    return app


def in_starlette(runtime: Runtime) -> Any:
    """Twice below each other, and with a parameter in the path."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None, None]:
        async with runtime:
            yield

    inner = starlette.Starlette(routes=[routing.Mount("/b c", app=asgi(runtime))])
    return starlette.Starlette(routes=[routing.Mount("/a/{tenant}", app=inner)], lifespan=lifespan)


PLACES = [
    pytest.param(by_itself, "", id="by-itself"),
    pytest.param(in_fastapi, "/llm", id="in-fastapi"),
    pytest.param(in_starlette, "/a/x%2Dy/b%20c", id="in-starlette"),
]
MESSAGES: Any = [{"role": "user", "content": "What is 6 times 7?"}]
RACE = {"frontrunner": {"branches": 4, "deadline": 5}}


@pytest.mark.parametrize(("make", "place"), PLACES)
async def test_the_whole_api_is_served_wherever_it_is_mounted(make: Any, place: str) -> None:
    runtime = scripted()
    async with no_tasks_left(), served(make(runtime), runtime, place) as here:
        reply = await here.openai.chat.completions.create(
            model="scripted", messages=MESSAGES, extra_body=RACE
        )
        assert "42" in str(reply.choices[0].message.content)
        chunks = [
            chunk
            async for chunk in await here.openai.chat.completions.create(
                model="scripted", messages=MESSAGES, stream=True, extra_body=RACE
            )
        ]
        assert chunks[-1].choices[0].finish_reason == "stop"
        text = await here.openai.completions.create(
            model="scripted", prompt="6 times 7 is", extra_body=RACE
        )
        assert text.choices[0].text
        response = await here.openai.responses.create(
            model="scripted", input="What is 6 times 7?", extra_body=RACE
        )
        assert "42" in response.output_text
        async with here.openai.responses.connect() as connection:
            await connection.response.create(model="scripted", input="?")
            kinds = [event.type async for event in until_the_end(connection)]
        assert kinds[-1] == "response.completed"
        for path in ("livez", "readyz", "metrics", "v1/models", "openapi.json", ""):
            async with here.http.get(path) as got:
                assert got.status == 200, path
                body = await got.text()
        assert 'src="playground/main.js"' in body
        async with here.http.get("playground/main.js") as got:
            assert got.headers["Content-Type"].startswith("text/javascript")


async def until_the_end(connection: Any) -> AsyncGenerator[Any, None]:
    async for event in connection:
        yield event
        if event.type in TERMINAL:
            return


async def test_what_the_server_says_arrives_as_it_says_it() -> None:
    runtime = scripted()
    async with served(in_fastapi(runtime), runtime, "/llm") as here:
        with pytest.raises(BadRequestError) as caught:
            await here.openai.chat.completions.create(
                model="scripted", messages=MESSAGES, temperature=9
            )
        assert caught.value.param == "temperature"
        async with here.http.get("livez", headers={"X-Request-Id": "mine"}) as got:
            assert got.headers["X-Request-Id"] == "mine"
            assert len(got.headers.getall("Date")) == 1
        async with here.http.delete("v1/models") as got:
            assert got.status == 405
            assert "GET" in got.headers["Allow"]
        async with here.http.get("nothing?a=%20b") as got:
            assert got.status == 404
        async with here.http.head("livez") as got:
            assert got.status == 200
        async with here.http.get("", headers={"If-None-Match": "*"}) as got:
            assert got.status == 304
        async with here.http.get("../mine") as got:
            assert await got.json() == "mine"


async def test_bodies_arrive_in_any_number_of_pieces() -> None:
    runtime = scripted()

    async def pieces(body: bytes, size: int) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    body = b'{"messages": [{"role": "user", "content": "' + b"six times seven " * 9_000 + b'"}]}'
    headers = {"Content-Type": "application/json"}
    async with served(by_itself(runtime), runtime) as here:
        for data in (body, pieces(body, 7_001), pieces(body, len(body))):
            async with here.http.post("v1/chat/completions", data=data, headers=headers) as got:
                assert got.status == 200, await got.text()
        # One that is too large is refused, however much of it is still to come.
        async with here.http.post(
            "v1/chat/completions", data=pieces(b" " * (3 << 20), 50_000), headers=headers
        ) as got:
            assert got.status == 413


async def test_a_stream_is_not_held_back() -> None:
    runtime = scripted(ENDLESS)
    async with served(in_fastapi(runtime), runtime, "/llm") as here:
        stream = await here.openai.chat.completions.create(
            model="scripted",
            messages=MESSAGES,
            stream=True,
            extra_body={"frontrunner": {"branches": 2, "deadline": 60}},
        )
        for _ in range(20):  # while the race still runs
            await anext(stream)
        assert here.engine.load().running == 2
        await stream.close()
        await here.idle()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "anyio_backend",
    [STEADY_ASYNCIO, ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
async def test_a_client_that_leaves_takes_its_branches_with_it(stream: bool) -> None:
    runtime = scripted(ENDLESS)
    async with served(in_fastapi(runtime), runtime, "/llm") as here:
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                reply: Any = await here.openai.chat.completions.create(
                    model="scripted",
                    messages=MESSAGES,
                    stream=stream,
                    extra_body={"frontrunner": {"branches": 3, "deadline": 60}},
                )
                async for _ in reply:
                    pass

            tasks.start_soon(ask)
            await until(lambda: here.engine.load().running == 3)
            tasks.cancel_scope.cancel()
        await here.idle()
        await until(lambda: [len(aborted) for aborted in here.engine.aborts] == [3])


async def test_a_race_that_was_to_go_on_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = scripted(ENDLESS)
    race = {"branches": 2, "deadline": 60, "on_disconnect": "continue"}
    inner = list[Any]()
    monkeypatch.setattr(
        application,
        "create_app",
        lambda *given, **more: inner.append(create_app(*given, **more)) or inner[-1],
    )
    async with served(by_itself(runtime), runtime) as here:
        stream = await here.openai.responses.create(
            model="scripted", input="?", stream=True, extra_body={"frontrunner": race}
        )
        first: Any = await anext(stream)
        await stream.close()
        run = inner[-1][RUNS].get(first.response.id)
        await until(lambda: not run.held)  # the server knows that the client has left
        asked = len(here.engine.requests)

        async def written() -> int:
            response = await here.openai.responses.retrieve(run.id)
            assert response.status == "in_progress"
            return len(response.model_dump_json())

        before = await written()
        while await written() == before:  # what was cancelled writes nothing more, and says so
            pass
        assert (here.engine.load().running, here.engine.aborts) == (2, [])
        assert len(here.engine.requests) == asked == 2
        await here.openai.responses.cancel(run.id)
        await here.idle()


async def test_a_websocket_that_closes_takes_its_branches_with_it() -> None:
    runtime = scripted(ENDLESS)
    async with served(by_itself(runtime), runtime) as here:
        async with dial(here) as client:
            await client.create(frontrunner={"deadline": 60})
            await client.until("response.reasoning_summary_text.delta", "response.created")
            await until(lambda: here.engine.load().running == 4)
        await here.idle()


async def test_a_websocket_is_accepted_with_what_the_server_says() -> None:
    runtime = scripted()
    async with served(by_itself(runtime), runtime) as here:
        asked: Any = {
            "additional_headers": {"X-Request-Id": "mine"},
            "subprotocols": ["other", "openai-responses"],
        }
        async with dial(here, **asked) as client:
            response = client.socket.response
            assert response is not None
            assert client.socket.subprotocol == "openai-responses"
            assert response.headers["X-Request-Id"] == "mine"
            # What belongs to one connection is there once: the ASGI server's.
            for name in ("Date", "Upgrade", "Connection", "Sec-WebSocket-Accept"):
                assert len(response.headers.get_all(name)) == 1, name
            await client.create()
            assert (await client.ended())[-1]["type"] == "response.completed"


async def test_a_websocket_hears_why_the_server_closes_it() -> None:
    runtime = scripted()
    async with served(by_itself(runtime), runtime) as here, dial(here) as client:
        await client.socket.send(b"bytes")
        assert await client.closed() == 1003
        assert client.socket.close_reason == "messages are text"


# ── who may ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text("somebody: right\n")
    return str(path)


async def test_keys_are_asked_for_here_as_well(keys: str) -> None:
    runtime = scripted(key_file=keys)
    async with served(by_itself(runtime), runtime) as here:
        with pytest.raises(APIStatusError) as caught:
            await here.openai.models.list()
        assert caught.value.status_code == 401
        assert (await here.openai.with_options(api_key="right").models.list()).data
        with pytest.raises(WSServerHandshakeError) as refused:
            await here.http.ws_connect("v1/responses")
        assert refused.value.status == 401
        protocols = ("frontrunner", "openai-insecure-api-key.right")
        async with here.http.ws_connect("v1/responses", protocols=protocols) as socket:
            assert socket.protocol == "frontrunner"


async def test_a_server_without_denials_closes_a_refused_handshake(keys: str) -> None:
    app, sent = asgi(scripted(key_file=keys)), list[Any]()

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/v1/responses", "headers": [], "query_string": b""}
    assert app._runtime is not None
    async with app._runtime:
        await app(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which temporary ones are made."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def permissions(within: Path) -> list[int]:
    """Those of the folders that are there now."""
    return [folder.stat().st_mode & 0o777 for folder in within.iterdir()]


async def test_the_socket_is_in_a_folder_of_its_users_own(temporary: Path) -> None:
    runtime = scripted()
    async with served(by_itself(runtime), runtime) as here:
        await here.openai.models.list()
        assert permissions(temporary) == [0o700]
    assert permissions(temporary) == []


def test_the_path_of_the_socket_is_never_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", f"/tmp/{'x' * 100}")
    assert _folder() == "/tmp"


# ── life ────────────────────────────────────────────────────────────────────────────────────────


class Started:
    """Runtimes that a config was made into."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *branches: BranchScript) -> None:
        self.made: list[Runtime] = []

        def make(settings: Settings) -> Runtime:
            self.made.append(scripted(*branches))
            return self.made[-1]

        monkeypatch.setattr(Runtime, "from_config", make)


async def test_a_config_is_started_and_stopped_in_the_lifespan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = Started(monkeypatch)
    app = asgi(Settings())
    assert started.made == []
    for number in (1, 2):  # as often as it is run
        async with (
            no_tasks_left(),
            listening(app) as port,
            ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}/v1/models") as got,
        ):
            assert got.status == 200
        assert len(started.made) == number
        engine = started.made[-1].engine
        assert isinstance(engine, ScriptedEngine)
        assert isinstance(engine.failure, EngineClosed)


async def test_a_config_that_is_mounted_is_entered_by_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Started(monkeypatch)
    llm = asgi(Settings())

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[None, None]:
        async with llm:
            yield

    for entered in (True, False):
        app = fastapi.FastAPI(lifespan=lifespan if entered else None)
        app.mount("/llm", llm)
        async with no_tasks_left(), listening(app) as port, ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/llm/v1/models") as got:
                body = await got.json()
                assert got.status == (200 if entered else 503)
            if not entered:
                assert "async with llm" in body["error"]["message"]
                with pytest.raises(WSServerHandshakeError) as refused:
                    await http.ws_connect(f"http://127.0.0.1:{port}/llm/v1/responses")
                assert refused.value.status == 503


async def test_an_engine_that_does_not_start_ends_the_server_with_the_reason() -> None:
    app, sent = asgi(Settings.from_dict({"engine": {"model": "/nowhere"}})), list[Any]()

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    (message,) = sent
    assert message["type"] == "lifespan.startup.failed"
    assert message["message"]


def test_a_wrong_config_shows_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigError, match="prot"):
        asgi(path)
    with pytest.raises(ConfigError, match="origins"):
        asgi(scripted(origins=["nonsense"]))


async def test_races_that_run_as_the_server_ends_come_to_their_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those without a client: the server has waited for the others."""
    started = Started(monkeypatch, ENDLESS)
    app: AsgiApp = asgi(Settings())
    race = {"deadline": 0.5, "branches": 2, "on_disconnect": "continue"}
    body = {"input": "?", "background": True, "frontrunner": race}
    async with (
        no_tasks_left(),
        app,
        listening(app, lifespan="off") as port,
        ClientSession(f"http://127.0.0.1:{port}") as http,
    ):
        async with http.post("/v1/responses", json=body) as got:
            assert got.status == 200
        engine = started.made[0].engine
        assert isinstance(engine, ScriptedEngine)
        await until(lambda: engine.load().running == 2)
    assert any(request.forced for request in engine.requests)


async def test_it_ends_with_its_runtime() -> None:
    runtime = scripted(ENDLESS)
    app = asgi(runtime)
    async with no_tasks_left(), listening(app, lifespan="off") as port, ClientSession() as http:
        url = f"http://127.0.0.1:{port}/v1/models"
        async with http.get(url) as got:
            assert got.status == 503
        for _ in range(2):
            async with runtime, http.get(url) as got:
                assert got.status == 200
            async with http.get(url) as got:
                assert got.status == 503


async def test_connections_of_other_types_are_refused() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match="telnet"):
        await asgi(scripted())({"type": "telnet"}, never, never)


# ── paths and codes ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "root", "raw", "expected"),
    [
        ("/v1/models", "", b"/v1/models", "/v1/models"),
        ("/v1/models", "", None, "/v1/models"),
        ("/llm/v1/models", "/llm", b"/llm/v1/models", "/v1/models"),
        ("/llm/v1/models", "/llm/", None, "/v1/models"),
        ("/v1/models", "/llm", b"/v1/models", "/v1/models"),
        ("/llms/v1", "/llm", b"/llms/v1", "/llms/v1"),
        ("/llm", "/llm", b"/llm", ""),
        ("/llm/", "/llm", b"/llm/", "/"),
        ("/a b/v1", "/a b", b"/a%20b/v1", "/v1"),
        ("/a-b/v1/x/y", "/a-b", b"/a%2Db/v1/x%2Fy", "/v1/x/y"),
        ("/v1/x/y", "", b"/v1/x%2Fy", "/v1/x%2Fy"),
        ("/v1/ü", "", None, "/v1/%C3%BC"),
    ],
)
def test_the_route_below_the_place_it_is_mounted_at(
    path: str, root: str, raw: bytes | None, expected: str
) -> None:
    assert route({"path": path, "root_path": root, "raw_path": raw}) == expected


def test_only_codes_that_may_be_sent_are() -> None:
    codes: Sequence[int | None] = (None, 0, 1000, 1005, 1006, 1009, 1015, 4000)
    assert [sendable(code) for code in codes] == [1001, 1001, 1000, 1001, 1001, 1009, 1001, 4000]
