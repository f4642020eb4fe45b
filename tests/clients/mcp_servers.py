"""Tries official MCP servers in races: their tools, their death and their silence.

    .venv/bin/python tests/clients/mcp_servers.py [--environments FOLDER]

Each server is installed into FOLDER. Prints one line for each thing tried; the exit status is the
number of those that failed.
"""

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.runtime.agents.calling import SETTINGS, CallingEngine, call, says  # noqa: E402

from frontrunner import Result, Runtime  # noqa: E402
from frontrunner.agents import mcp_tools  # noqa: E402
from frontrunner.events import RaceDecided, ToolCalled  # noqa: E402

TIME = "mcp-server-time==2026.10.19"
EVERYTHING = "@modelcontextprotocol/server-everything@2026.8.31"
_INSTALL_LIMIT_S = 900


def install(folder: Path) -> tuple[list[str], list[str]]:
    """The commands of the two servers."""
    time, everything = folder / "time", folder / "everything"
    server = time / "bin/mcp-server-time"
    if not server.exists():
        subprocess.run([sys.executable, "-m", "venv", str(time)], check=True)
        pip = [str(time / "bin/python"), "-m", "pip", "install", "-q", TIME]
        subprocess.run(pip, check=True, timeout=_INSTALL_LIMIT_S)
    node = everything / "node_modules/.bin/mcp-server-everything"
    if not node.exists():
        npm = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix"]
        subprocess.run([*npm, str(everything), EVERYTHING], check=True, timeout=_INSTALL_LIMIT_S)
    return [str(server), "--local-timezone", "UTC"], ["node", str(node)]


@asynccontextmanager
async def over_http(command: Sequence[str]) -> AsyncGenerator[str, None]:
    """The URL of a server by streamable HTTP."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = {**os.environ, "PORT": str(port)}
    quiet = subprocess.DEVNULL
    process = await anyio.open_process(
        [*command, "streamableHttp"], stdout=quiet, stderr=quiet, env=environment
    )
    try:
        with anyio.fail_after(60):
            while True:
                with suppress(OSError):
                    await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                    break
                await anyio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.aclose()


def children() -> list[psutil.Process]:
    """Programs that this one has started, and that run."""
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if each.status() != psutil.STATUS_ZOMBIE and "algebra" not in " ".join(each.cmdline())
    ]


def kill_all() -> None:
    for each in children():
        each.kill()


async def race(
    server: Any, engine: CallingEngine, meanwhile: Callable[[], None] | None = None, **more: Any
) -> Result:
    """A race of three branches with all tools of ``server``; when its first call runs, something
    happens."""
    given: dict[str, Any] = {"branches": 3, "deadline": 60.0, "parameters": {"stop": "none"}}
    async with (
        mcp_tools(server, read_only=True, timeout=30.0) as tools,
        Runtime(engine, SETTINGS, tools=tools) as runtime,
        runtime.stream("?", **{**given, **more}) as events,
    ):
        async for event in events:
            if isinstance(event, ToolCalled) and meanwhile is not None:
                await anyio.sleep(0.5)  # until it has reached the server
                meanwhile()
                meanwhile = None
            if isinstance(event, RaceDecided):
                return event.result
    raise AssertionError("no result")


def long_call() -> CallingEngine:
    """Two branches make a call that takes long; one does not."""
    slow = call("trigger-long-running-operation", {"duration": 20, "steps": 4}, 0.01)
    return CallingEngine([[slow, says("1", 0.01)], [slow, says("1", 0.01)], [says("2", 1.0)]])


async def time_over_pipes(time: list[str], everything: list[str]) -> str:
    asked = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    wrong = {**asked, "target_timezone": "Nowhere/Nothing"}
    engine = CallingEngine(
        [
            [call("convert_time", asked, 0.01), says("21", 0.01)],
            [call("convert_time", asked, 0.01), says("21", 0.01)],
            [call("convert_time", wrong, 0.01), says("0", 0.01)],
        ]
    )
    result = await race(time, engine)
    assert result.votes == {"21": 2, "0": 1}, result.votes
    assert "T21:00:00+09:00" in result.branches[0].text
    assert "[convert_time] Error: " in result.branches[2].text
    return "21:00 in Tokyo; a wrong zone is told to the branch"


async def everything_over_pipes(time: list[str], everything: list[str]) -> str:
    return await _sums([*everything, "stdio"])


async def everything_over_http(time: list[str], everything: list[str]) -> str:
    async with over_http(everything) as url:
        return await _sums(url)


async def _sums(server: Any) -> str:
    engine = CallingEngine([[call("get-sum", {"a": 2, "b": 3}, 0.01), says("5", 0.01)]])
    result = await race(server, engine)
    assert result.votes == {"5": 3}, result.votes
    return next(each for each in result.branches[0].text.splitlines() if "[get-sum]" in each)


async def dies_over_pipes(time: list[str], everything: list[str]) -> str:
    result = await race([*everything, "stdio"], long_call(), kill_all)
    return _lost_branches(result)


async def dies_over_http(time: list[str], everything: list[str]) -> str:
    async with over_http(everything) as url:
        result = await race(url, long_call(), kill_all)
    return _lost_branches(result)


def _lost_branches(result: Result) -> str:
    assert result.votes == {"2": 1}, result.votes
    errors = [str(branch.error) for branch in result.branches[:2]]
    assert all("trigger-long-running-operation" in error for error in errors), errors
    assert result.elapsed < 15, result.elapsed
    return errors[0]


async def hangs_over_pipes(time: list[str], everything: list[str]) -> str:
    stopped: list[psutil.Process] = []

    def stop() -> None:
        stopped.extend(children())
        for each in stopped:
            each.suspend()

    began = anyio.current_time()
    result = await race([*everything, "stdio"], long_call(), stop, deadline=5.0)
    assert result.answer == "2", result.answer
    assert result.elapsed <= 5.0, result.elapsed
    return (
        f"an answer after {result.elapsed:.1f} s, all left after {anyio.current_time() - began:.0f}"
    )


TRIED: tuple[Callable[[list[str], list[str]], Awaitable[str]], ...] = (
    time_over_pipes,
    everything_over_pipes,
    everything_over_http,
    dies_over_pipes,
    dies_over_http,
    hangs_over_pipes,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv/clients/mcp")
    args = parser.parse_args()
    time, everything = install(args.environments)
    failed = 0
    for each in TRIED:
        name = each.__name__.replace("_", " ")
        try:
            with_limit = anyio.run(_limited, each, time, everything)
            left = children()
            assert not left, f"left running: {left}"
            print(f"{name}: yes ({with_limit})", flush=True)
        except Exception as error:  # noqa: BLE001 - told
            failed += 1
            print(f"{name}: NO: {type(error).__name__}: {error}", flush=True)
            kill_all()
    return failed


async def _limited(each: Callable[..., Awaitable[str]], *commands: list[str]) -> str:
    with anyio.fail_after(120):
        return await each(*commands)


if __name__ == "__main__":
    sys.exit(main())
