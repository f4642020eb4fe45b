"""Tools of MCP servers (Model Context Protocol), through its official client library.

``pip install frontrunner[mcp]``.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from ..errors import ConfigError, EngineStartError
from .tools import Tool, ToolError


@asynccontextmanager
async def mcp_tools(
    server: Any,
    *,
    only: Collection[str] | None = None,
    read_only: Collection[str] | bool | None = None,
    prefix: str = "",
    timeout: float = 30.0,
    connect_timeout: float = 30.0,
) -> AsyncGenerator[list[Tool], None]:
    """The tools of an MCP server, for as long as the block lasts.

    ::

        async with (
            mcp_tools(["uvx", "mcp-server-time"]) as tools,
            Runtime.from_config("engine.toml") as runtime,
        ):
            result = await runtime.solve("…", tools=tools)

    Args:
        server: a command (its words; over pipes), a URL (streamable HTTP), or what ``mcp.Client``
            takes beside these.
        only: names of the tools that are wanted; None: all.
        read_only: names of the tools that change nothing, or whether that is so of all. None: those
            that the server says so of. All others have ``side_effects``.
        prefix: put before the names that models see, where two servers name tools alike.
        timeout: seconds for one call.
        connect_timeout: seconds that the server may take to tell its tools.

    Raises:
        EngineStartError: the library is missing, or the server does not come up.
        ConfigError: it has no tool of a name in ``only``.
    """
    mcp = _library()
    connected, waits = False, max(timeout, connect_timeout)
    try:
        async with mcp.Client(_server(server), read_timeout_seconds=waits) as client:
            with anyio.fail_after(connect_timeout):
                found = await _listed(client)
            connected = True
            wanted = _wanted(found, only)
            yield [
                Tool.of_schema(
                    _caller(client, said.name),
                    said.input_schema,
                    name=prefix + said.name,
                    description=said.description or "",
                    side_effects=not _reads_only(said, read_only),
                    timeout=timeout,
                )
                for said in wanted
            ]
    except Exception as error:  # noqa: BLE001 - raised again
        # What is raised in the block passes through the client's task groups, which wrap it.
        only_one = _unwrapped(error)
        if connected or not isinstance(only_one, Exception):
            raise only_one from None
        raise EngineStartError(
            f"the MCP server {server!r} cannot be used: {only_one or type(only_one).__name__}"
        ) from only_one


def _unwrapped(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _wanted(found: Sequence[Any], only: Collection[str] | None) -> list[Any]:
    """
    Raises:
        ConfigError: one is not there.
    """
    missing = sorted(set(only or ()) - {said.name for said in found})
    if missing:
        names = ", ".join(sorted(said.name for said in found))
        raise ConfigError("only", f"the MCP server has no tool {missing[0]!r}; it has {names}")
    return [said for said in found if only is None or said.name in only]


def _library() -> Any:
    """
    Raises:
        EngineStartError: it is missing.
    """
    try:
        import mcp  # an extra, and slow to import
    except ImportError as error:
        raise EngineStartError(
            "MCP needs its client library: pip install 'frontrunner[mcp]'"
        ) from error
    return mcp


def _server(server: Any) -> Any:
    if isinstance(server, Sequence) and not isinstance(server, str):
        words: list[str] = [*server]
        return _library().StdioServerParameters(command=words[0], args=words[1:])
    return server


async def _listed(client: Any) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            return found


def _reads_only(said: Any, read_only: Collection[str] | bool | None) -> bool:
    if read_only is None:
        return bool(said.annotations and said.annotations.read_only_hint)
    return read_only if isinstance(read_only, bool) else said.name in read_only


def _caller(client: Any, name: str) -> Callable[[Mapping[str, Any]], Awaitable[str]]:
    async def call(arguments: Mapping[str, Any]) -> str:
        came = await client.call_tool(name, dict(arguments))
        said = "\n".join(
            part.text if part.type == "text" else f"[{part.type}]" for part in came.content
        )
        if came.is_error:
            raise ToolError(said or "the tool failed")
        return said

    return call
