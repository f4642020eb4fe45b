"""The options and help texts of ``frontrunner init``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

HELP = (
    "Write a config for the model that you have, and see how it races.\n\nThe model's own files "
    "and this machine decide the settings, and each line of the file says why. Then three built-in "
    "questions are raced, and you read what share of the branches answers, what forced answers and "
    "confidence are worth, and what to change if that is bad."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner init ./my-model[/cyan]   a folder with a config.json

[cyan]frontrunner init Qwen/Qwen3-4B --out qwen.toml[/cyan]   a name on the Hugging Face hub

[cyan]frontrunner init http://localhost:8000/v1[/cyan]   a model that a server serves already

[cyan]frontrunner init ./my-model --no-race[/cyan]   without starting the engine


[bold]Exit status[/bold]

0 the file is written, and its races are in order; 1 it is written, and something in it must \
change first; 2 there is no such model, or the file exists; 130 ended by Ctrl-C, with \
nothing written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitCommand:
    """What ``init`` was asked to do."""

    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A folder, a name on the Hugging Face hub, or the address of an OpenAI-compatible "
            "endpoint.",
            show_default=False,
        ),
    ]
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The file that is written.")
    ] = Path("frontrunner.toml")
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False
    race: Annotated[
        bool, typer.Option("--race/--no-race", help="Start the engine and race the questions.")
    ] = True
    key_env: Annotated[
        str | None,
        typer.Option(
            "--key-env",
            metavar="NAME",
            help="For an endpoint: the environment variable that holds its key.",
            show_default=False,
        ),
    ] = None
