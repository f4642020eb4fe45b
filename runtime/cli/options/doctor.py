"""The options and help texts of ``frontrunner doctor``."""

from dataclasses import dataclass
from typing import Annotated

import typer

from .common import ConfigFile, Sets

HELP = (
    "Check the installation, and say what to do about each finding.\n\nWith --config also what the "
    "model gets to read, its tokenizer and its memory, and by a few races what it makes of it."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner doctor[/cyan]

[cyan]frontrunner doctor --no-engine[/cyan]   without starting the engine

[cyan]frontrunner doctor --config my-engine.toml[/cyan]   the model as well

[cyan]frontrunner doctor --config my-engine.toml --json[/cyan]


[bold]Exit status[/bold]

0 nothing is wrong (warnings do not count); 1 something is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCommand:
    """What ``doctor`` was asked to do."""

    config: ConfigFile = None
    sets: Sets = None
    engine: Annotated[
        bool,
        typer.Option("--engine/--no-engine", help="Generate a token on the configured engine."),
    ] = True
    race: Annotated[
        bool | None,
        typer.Option(
            "--race/--no-race",
            help="Race three built-in questions, and say whether branches answer in the form that "
            "is asked for.",
            show_default="with --config",
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="The findings as one JSON object.")] = False
