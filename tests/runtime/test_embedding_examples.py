"""The examples, on an engine that plays a script."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest
from aiohttp import ClientSession, web
from openai import AsyncOpenAI
from tests.backends import STEADY_ASYNCIO, no_tasks_left, until

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.errors import EngineClosed
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.scheduling.race_runner import RaceRunner

from .serving.conftest import ENDLESS, FORCED
from .serving.test_asgi import listening

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = BranchScript.answering("42", seconds=0.01)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return STEADY_ASYNCIO


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    """What the examples race on, whatever config they name."""
    engine = ScriptedEngine(Script([QUICK], forced=(FORCED,)), step_seconds=0.001, max_branches=4)
    race = {"branches": 4, "min_branches": 4, "queue": 0}

    def scripted(config: str) -> Runtime:
        assert Settings.from_toml(config).engine.model == "demo"
        return Runtime(engine, Settings.from_dict({"race": race}))

    monkeypatch.setattr(Runtime, "from_config", scripted)
    monkeypatch.chdir(EXAMPLES.parent)
    return engine


def example(name: str) -> ModuleType:
    """A fresh copy of the module."""
    spec = spec_from_file_location(f"examples.{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where FastAPI looks for names in annotations
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def fastapi_app() -> AsyncGenerator[str, None]:
    async with listening(example("fastapi_app").app) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def aiohttp_app() -> AsyncGenerator[str, None]:
    runner = web.AppRunner(example("aiohttp_app").make_app(), handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(make: Any) -> AsyncGenerator[ClientSession, None]:
    async with no_tasks_left(), make() as base, ClientSession(base) as http:
        yield http


every_example = pytest.mark.parametrize("make", [fastapi_app, aiohttp_app])
QUESTION = {"question": "What is 6 times 7?"}


@every_example
async def test_it_answers_streams_and_serves_the_api(make: Any, engine: ScriptedEngine) -> None:
    async with asking(make) as http:
        async with http.post("/ask", json=QUESTION) as got:
            assert (await got.json())["answer"] == "42"
        async with http.post("/watch", json=QUESTION) as got:
            assert got.headers["Content-Type"].startswith("text/event-stream")
            frames = (await got.text()).split("\n\n")
        assert '"type":"race_started"' in frames[0]
        assert '"type":"race_decided"' in frames[-2]
        openai = AsyncOpenAI(base_url=str(http._build_url("/llm/v1")), api_key="none")
        async with openai:
            reply = await openai.chat.completions.create(
                model="scripted", messages=[{"role": "user", "content": "?"}]
            )
        assert "42" in str(reply.choices[0].message.content)


@every_example
@pytest.mark.parametrize("path", ["/ask", "/watch"])
async def test_what_the_caller_got_wrong_is_a_400(
    make: Any, path: str, engine: ScriptedEngine
) -> None:
    async with asking(make) as http:
        async with http.post(path, json={"question": " "}) as got:
            assert got.status == 400
            assert "empty" in (await got.json())["error"]["message"]
        async with http.post(path, json={**QUESTION, "deadline": -1}) as got:
            assert got.status == 400
            assert "deadline" in (await got.json())["error"]["message"]
    assert engine.requests == []


@every_example
@pytest.mark.parametrize("path", ["/ask", "/watch"])
async def test_where_there_is_no_room_it_is_a_503_that_says_when_to_come_back(
    make: Any, path: str, engine: ScriptedEngine
) -> None:
    engine.script.branches = [ENDLESS]
    async with asking(make) as http:
        async with http.post("/watch", json={**QUESTION, "deadline": 60}) as first:
            await first.content.readline()
            async with http.post(path, json=QUESTION) as got:
                assert got.status == 503
                assert 1 <= int(got.headers["Retry-After"]) <= 60
                assert "busy" in (await got.json())["error"]["message"]
            first.close()
        await until(lambda: engine.load().running == 0)


@every_example
async def test_an_engine_that_is_closed_is_a_503(
    make: Any, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(races: RaceRunner) -> None:
        raise EngineClosed("no more")

    async with asking(make) as http:
        monkeypatch.setattr(RaceRunner, "check_entered", closed)
        async with http.post("/ask", json=QUESTION) as got:
            assert got.status == 503
            assert (await got.json())["error"]["message"] == "no more"


# FastAPI does not tell a handler that its client has left, only a stream.
@pytest.mark.parametrize(
    ("make", "path"), [(fastapi_app, "/watch"), (aiohttp_app, "/ask"), (aiohttp_app, "/watch")]
)
async def test_a_client_that_leaves_takes_its_branches_with_it(
    make: Any, path: str, engine: ScriptedEngine
) -> None:
    engine.script.branches = [ENDLESS]
    async with asking(make) as http:
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                async with http.post(path, json={**QUESTION, "deadline": 60}) as got:
                    await got.read()

            tasks.start_soon(ask)
            await until(lambda: engine.load().running == 4)
            tasks.cancel_scope.cancel()
        await until(lambda: engine.load().running == 0)
        await until(lambda: len(engine.aborts) == 1)
