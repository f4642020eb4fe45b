"""The README's examples, on an engine that plays a script."""

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def example(mark: str) -> dict[str, Any]:
    """The names that the one block with ``mark`` in it defines."""
    (block,) = [block for block in BLOCKS if mark in block]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, "README.md", "exec"), names)
    return names


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {}


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(config: str) -> Runtime:
        assert Settings.from_toml(config).engine.model == "demo"
        return Runtime(ScriptedEngine(Script([BranchScript.answering("42", seconds=0.01)])))

    monkeypatch.setattr(Runtime, "from_config", scripted)
    monkeypatch.chdir(Path(__file__).parent.parent)


async def test_the_aiohttp_backend() -> None:
    app = example("def make_app()")["make_app"]()
    async with TestClient(TestServer(app)) as client:
        reply = await client.post("/ask", json={"question": "What is 6 times 7?"})
        assert (await reply.json())["answer"] == "42"
        models = await client.get("/llm/v1/models")
        assert (await models.json())["data"]


def test_the_fastapi_backend() -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    app = example("FastAPI(")["app"]
    with testclient.TestClient(app) as client:
        reply = client.get("/ask", params={"question": "What is 6 times 7?"})
        assert '"type":"race_decided"' in reply.text


def test_every_python_block_is_python() -> None:
    for block in BLOCKS:
        # The shortest ones await at their top level.
        compile(block, "README.md", "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
