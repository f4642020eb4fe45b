"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="A TOML file that describes the engine and the races. Without it: the embedded demo "
        "model on vLLM.",
        show_default=False,
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option(
        "--deadline",
        "-d",
        metavar="SECONDS",
        help="There is an answer after this time at the latest.",
        show_default="the config's",
    ),
]
Branches = Annotated[
    int | None,
    typer.Option(
        "--branches",
        "-b",
        metavar="B",
        help="Reasoning branches that race.",
        show_default="the config's",
    ),
]
Uvloop = Annotated[bool, typer.Option("--uvloop", help="Run on uvloop, if it is installed.")]
