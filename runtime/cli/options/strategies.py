"""The options and help texts of ``frontrunner strategies``."""

from dataclasses import dataclass
from typing import Annotated

import typer

HELP = (
    "List the strategies, stop rules and weights, with parameters, defaults and sources.\n\n"
    "Those of installed packages are among them, and one of your own is shown by its name in the "
    "form package.module:Class."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner strategies[/cyan]   all of them, in a line each

[cyan]frontrunner strategies majority[/cyan]   what it does, and its parameters

[cyan]frontrunner strategies flip_risk[/cyan]   likewise, of a stop rule

[cyan]frontrunner strategies my_package.rules:Mine[/cyan]   one of your own

[cyan]frontrunner strategies --json | jq .name[/cyan]


[bold]Exit status[/bold]

0 it is written; 2 there is none of that name, or it cannot be imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategiesCommand:
    """What ``strategies`` was asked to do."""

    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]…", help="Which. Without it: all.", show_default=False),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Each as a line of JSON.")] = False
