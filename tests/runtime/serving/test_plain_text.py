"""Clients read texts without the marks that they hold for ourselves."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from tests.runtime.agents.calling import SETTINGS, CallingEngine, call, says

from frontrunner.agents import AgentEngine, AgentTask, Outcome, tool
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app
from frontrunner.runtime.serving.runs.plain_text import plain_text

from .conftest import Serve

SILENT = BranchScript((), stall=True)
QUESTION = [{"role": "user", "content": "What is 6 times 7?"}]


async def agent(_: AgentTask) -> AsyncGenerator[str | Outcome, None]:
    yield "Let me see."
    yield Outcome("It is 42")


@tool
async def look(where: str) -> str:
    """Looks."""
    return f"nothing in {where}"


def agents() -> Runtime:
    return Runtime(AgentEngine(agent), Settings())


def callers() -> Runtime:
    turns = [call("look", {"where": "x"}, 0.02), says("42", 0.02)]
    return Runtime(CallingEngine([turns]), SETTINGS, tools=[look])


@asynccontextmanager
async def http(runtime: Runtime) -> AsyncGenerator[ClientSession, None]:
    async with (
        runtime,
        TestServer(create_app(runtime)) as server,
        ClientSession(server.make_url("/")) as session,
    ):
        yield session


@pytest.mark.parametrize("made", [agents, callers], ids=["outcomes", "results of tools"])
async def test_no_reply_and_no_stream_holds_a_mark(made: Any) -> None:
    race = {"deadline": 20.0, "branches": 2}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", {"messages": QUESTION, "n": 2}),
        ("/v1/chat/completions", {"messages": QUESTION, "stream": True}),
        ("/v1/responses", {"input": "What is 6 times 7?"}),
        ("/v1/responses", {"input": "What is 6 times 7?", "stream": True}),
    ]
    asked.append(("/v1/completions", {"prompt": "6 times 7 is"}))
    async with http(made()) as session:
        for path, body in asked:
            for more in ({}, {"events": True} if body.get("stream") else {}):
                body["frontrunner"] = {**race, **more}
                async with session.post(path, json=body) as response:
                    said = await response.text()
                    assert response.status == 200, said
                assert "Let me see." in said
                assert not any(f"\\u00{code:02x}" in said for code in range(0x1C, 0x20))


def test_plain_text_is_as_long_as_before() -> None:
    text = "a\x1eb\x1d\n"
    assert plain_text(text) == "a b \n"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_silent_engine_is_an_error_and_no_empty_reply(serve: Serve, stream: bool) -> None:
    async with serve(SILENT, forced=[SILENT]) as served:
        body = {"messages": QUESTION, "stream": stream, "frontrunner": {"deadline": 0.5}}
        async with served.http.post("/v1/chat/completions", json=body) as response:
            said = await response.text()
        assert response.status == (200 if stream else 503)
        assert "no branch wrote anything within the deadline of 0.5 s" in said
        assert "[DONE]" not in said or '"error"' in said
