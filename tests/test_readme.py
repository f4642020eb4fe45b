"""The backends that the README points at, on an engine that plays a script."""

from pathlib import Path
from types import ModuleType

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.backends import STEADY_ASYNCIO

from frontrunner import Runtime, Settings
from frontrunner.testing import BranchScript, Script, ScriptedEngine

ROOT = Path(__file__).resolve().parents[1]


def example(name: str) -> ModuleType:
    """A fresh copy of an example that the README links."""
    path = ROOT / "examples" / f"{name}.py"
    assert f"](examples/{name}.py)" in (ROOT / "README.md").read_text(encoding="utf-8")
    module = ModuleType(name)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return STEADY_ASYNCIO


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(config: str) -> Runtime:
        assert Settings.from_toml(config).engine.model == "demo"
        return Runtime(ScriptedEngine(Script([BranchScript.answering("42", seconds=0.01)])))

    monkeypatch.setattr(Runtime, "from_config", scripted)
    monkeypatch.chdir(ROOT)


async def test_the_aiohttp_backend() -> None:
    async with TestClient(TestServer(example("aiohttp_app").make_app())) as client:
        reply = await client.post("/ask", json={"question": "What is 6 times 7?"})
        assert (await reply.json())["answer"] == "42"
        models = await client.get("/llm/v1/models")
        assert (await models.json())["data"]


def test_the_fastapi_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    monkeypatch.syspath_prepend(str(ROOT))
    from examples import fastapi_app  # FastAPI looks for the names in annotations there

    with testclient.TestClient(fastapi_app.app) as client:
        reply = client.post("/watch", json={"question": "What is 6 times 7?"})
        assert '"type":"race_decided"' in reply.text
