"""The tools of an MCP server in a race.

Run it with ``python -m examples.mcp_tools``; it needs the extra ``mcp``. The server is this program
itself, run with ``serve``.
"""

import asyncio
import sys

from frontrunner import Runtime
from frontrunner.agents import mcp_tools


def serve() -> None:
    from mcp.server import MCPServer
    from mcp.types import ToolAnnotations

    server = MCPServer("shop")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def price(item: str, pieces: int = 1) -> int:
        """What pieces of an item cost, in francs."""
        return 7 * pieces

    server.run("stdio")


async def main() -> None:
    async with (
        mcp_tools([sys.executable, "-m", "examples.mcp_tools", "serve"]) as tools,
        Runtime.from_config("configs/demo.toml") as runtime,
    ):
        result = await runtime.solve("What do three cost?", tools=tools, deadline=5.0)
        print([tool.name for tool in tools], result.answer, result.stop_reason)


if __name__ == "__main__":  # vLLM starts child processes, which import this module
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        asyncio.run(main())
