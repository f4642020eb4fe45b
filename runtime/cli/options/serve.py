"""The options and help texts of ``frontrunner serve``."""

from dataclasses import dataclass
from typing import Annotated

import typer

from .common import ConfigFile, Sets, Uvloop

HELP = (
    "Serve races over HTTP, to OpenAI's clients.\n\nChat completions, completions and "
    "responses, streamed or whole, and a websocket. A deadline is never an error: it brings the "
    "best answer there is."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner serve[/cyan]   the embedded demo model on http://127.0.0.1:8000/v1

[cyan]frontrunner serve --config my-engine.toml --host 0.0.0.0 --port 9000[/cyan]

[cyan]curl http://127.0.0.1:8000/v1/chat/completions -d '{"messages": [{"role": "user", "content": \
"…"}], "frontrunner": {"deadline": 5}}'[/cyan]

With OpenAI's client, change the address and put what is Frontrunner's own into extra_body:

[cyan]client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")[/cyan]

[cyan]client.chat.completions.create(model="demo", messages=…, stream=True, \
extra_body={"frontrunner": {"deadline": 5, "branches": 16}})[/cyan]


[bold]Ending it[/bold]

The port is there at once: while the engine loads, /livez says that the server is alive, and \
/readyz and all else answer 503. At Ctrl-C or SIGTERM it says at /readyz that it is not ready, \
takes requests for server.drain_grace seconds more, then refuses new ones while running races come \
to their answers, by their deadlines or within server.drain_limit seconds. A second signal ends it \
at once. Keys, limits and origins stand in the config, under \\[server].


[bold]Exit status[/bold]

0 told to end, and every client got its answer; 1 the engine failed; 2 the config, the address or \
the installation must change; 130 or 143 a signal came before it listened, or twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeCommand:
    """What ``serve`` was asked to do."""

    config: ConfigFile = None
    sets: Sets = None
    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="ADDRESS", help="Where to listen.", show_default="127.0.0.1"
        ),
    ] = None
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            help="0: one that is free.",
            show_default="8000",
        ),
    ] = None
    socket: Annotated[
        str | None,
        typer.Option(
            "--socket",
            metavar="PATH",
            help="A unix socket to listen on instead, for a reverse proxy on this machine.",
            show_default=False,
        ),
    ] = None
    uvloop: Uvloop = False
