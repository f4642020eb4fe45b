"""Tools of MCP servers: in this process, over standard input and output, over HTTP."""

import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import pytest
from tests.backends import STEADY_ASYNCIO

from frontrunner import ConfigError, Runtime
from frontrunner.agents import mcp_tools
from frontrunner.errors import EngineStartError

from .calling import SETTINGS, CallingEngine, call, says

pytestmark = [
    pytest.mark.slow,  # it starts processes of its own
    pytest.mark.skipif(find_spec("mcp") is None, reason="mcp is not installed"),
]

SERVER = Path(__file__).with_name("mcp_server.py")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return STEADY_ASYNCIO


@asynccontextmanager
async def in_process() -> AsyncGenerator[Any, None]:
    from .mcp_server import server

    yield server


@asynccontextmanager
async def over_pipes() -> AsyncGenerator[Any, None]:
    yield [sys.executable, str(SERVER)]


@asynccontextmanager
async def over_http() -> AsyncGenerator[Any, None]:
    # It listens before the server runs: whoever connects waits, and nobody takes the port.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        words = [sys.executable, str(SERVER), str(listening.fileno())]
        process = await anyio.open_process(
            words, stdout=DEVNULL, stderr=DEVNULL, pass_fds=[listening.fileno()]
        )
        port = listening.getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        await process.aclose()


@pytest.mark.parametrize("serving", [in_process, over_pipes, over_http])
async def test_branches_use_the_tools_of_a_server(serving: Any) -> None:
    engine = CallingEngine(
        [
            [call("price", {"item": "it", "pieces": 2}, 0.01), says("14", 0.01)],
            [call("price", {"item": "moon"}, 0.01), says("0", 0.01)],
        ]
    )
    async with serving() as server, mcp_tools(server, connect_timeout=300.0) as tools:
        assert {tool.name: tool.side_effects for tool in tools} == {"price": False, "order": True}
        async with Runtime(engine, SETTINGS) as runtime:
            result = await runtime.solve(
                "?", tools=tools, branches=2, deadline=60.0, parameters={"stop": "none"}
            )
    assert result.votes == {"14": 1, "0": 1}
    assert "[price] 14" in result.branches[0].text
    assert "[price] Error: " in result.branches[1].text
    assert "not for sale" in result.branches[1].text


async def test_what_is_decided_for_runs_on_the_server() -> None:
    engine = CallingEngine([[call("shop_order", {"item": "it"}, 0.01)]], [[says("1", 0.01)]])
    async with (
        in_process() as server,
        mcp_tools(server, only=["order"], prefix="shop_") as tools,
        Runtime(engine, SETTINGS, tools=tools) as runtime,
    ):
        came = await runtime.act("Order it.", branches=2, deadline=60.0)
    assert [act.result for act in came.acts] == ["ordered it"]


async def test_whoever_knows_better_says_what_changes_nothing() -> None:
    async with in_process() as server:
        async with mcp_tools(server, read_only=["order"]) as tools:
            assert {tool.name: tool.side_effects for tool in tools} == {
                "price": True,
                "order": False,
            }
        async with mcp_tools(server, read_only=True) as tools:
            assert not any(tool.side_effects for tool in tools)


async def test_a_tool_that_is_not_there_is_told_so() -> None:
    async with in_process() as server:
        with pytest.raises(ConfigError, match="no tool 'rice'; it has order, price"):
            async with mcp_tools(server, only=["rice"]):
                pass


@pytest.mark.parametrize(
    "server",
    [["/no/such/program"], [sys.executable, "-c", "pass"], "http://127.0.0.1:9/mcp"],
    ids=["no program", "no server", "no port"],
)
async def test_a_server_that_does_not_come_up_is_told_so(server: Any) -> None:
    with pytest.raises(EngineStartError, match=r"the MCP server .* cannot be used"):
        async with mcp_tools(server, timeout=5.0, connect_timeout=5.0):
            pass


async def test_what_is_raised_in_the_block_passes_through_as_it_is() -> None:
    async with in_process() as server:
        with pytest.raises(ZeroDivisionError, match="mine"):
            async with mcp_tools(server):
                raise ZeroDivisionError("mine")
