"""The options and help texts of ``frontrunner config``."""

from dataclasses import dataclass
from typing import Annotated

import typer

from .common import ConfigFile, Sets

HELP = (
    "Show every key of a config: its meaning, its default and its unit.\n\nWhat is written is "
    "itself a config that changes nothing; take the lines that you want to change."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner config[/cyan]   all of it

[cyan]frontrunner config race server.max_deadline token_cost[/cyan]   a table, a key, a key by \
its name

[cyan]frontrunner config > my-engine.toml[/cyan]   a file to begin with

[cyan]FRONTRUNNER_SERVER_PORT=9000 frontrunner config --effective --config my-engine.toml[/cyan]   \
what counts in the end, and who says it

[cyan]frontrunner config --schema > frontrunner.schema.json[/cyan]   for an editor that knows TOML


[bold]Exit status[/bold]

0 it is written; 2 there is no such table or key, or the config is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigCommand:
    """What ``config`` was asked to do."""

    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TABLE|KEY]…", help="What to show. Without it: everything.", show_default=False
        ),
    ] = None
    effective: Annotated[
        bool,
        typer.Option(
            "--effective",
            help="What counts in the end: every key with its value and who says it, by the file, "
            "the environment, --set and the model's family. Keys of clients and endpoints are in "
            "none of them.",
        ),
    ] = False
    config: ConfigFile = None
    sets: Sets = None
    schema: Annotated[bool, typer.Option("--schema", help="JSON Schema of the file.")] = False
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The tables of the documentation.")
    ] = False
