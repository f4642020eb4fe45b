"""An MCP server made with the official library, over standard input and output or HTTP."""

import sys

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

server = MCPServer("shop")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def price(item: str, pieces: int = 1) -> int:
    """What it costs."""
    if item == "moon":
        raise ToolError("not for sale")
    return 7 * pieces


@server.tool()
def order(item: str) -> str:
    """Orders it."""
    return f"ordered {item}"


if __name__ == "__main__":
    if len(sys.argv) > 1:  # the descriptor of a socket that listens already
        uvicorn.run(server.streamable_http_app(), fd=int(sys.argv[1]), log_level="warning")
    else:
        server.run("stdio")
