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
        help="A TOML file that describes the engine and the races. Without it: the one that "
        "FRONTRUNNER_CONFIG names, or the embedded demo model on vLLM.",
        show_default=False,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="TABLE.KEY=VALUE",
        help="A key of the config, over what the file and the environment "
        "(FRONTRUNNER_TABLE_KEY) say; repeat it for more.",
        show_default=False,
    ),
]
Reader = Annotated[
    str | None,
    typer.Option(
        "--reader",
        metavar="NAME",
        help="The trace reader of your own that reads the files (package.module:function).",
        show_default="told by what is in each file",
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
