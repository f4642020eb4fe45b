"""The options and help texts of ``frontrunner plan``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import ConfigFile, Reader, Sets

HELP = (
    "Choose branches, speculation and stop rule for a deadline.\n\nSays why, and what is "
    "to be expected; writes a config for solve and serve."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner plan --deadline 10 --profile profile.json --pilot pilot.ndjson --out \
planned.toml[/cyan]

[cyan]frontrunner solve "…" --config planned.toml[/cyan]

[cyan]frontrunner plan --deadline 1,2,5,10 --profile profile.json --pilot pilot.ndjson --json[/cyan]

[cyan]frontrunner plan --deadline 60 --profile 32b.json --pilot aime24.json --search greedy[/cyan]


[bold]How[/bold]

The pilot's branches are raced again, by the strategies themselves, in the time that the profile \
says they take: with each number of branches, each method and each K. The most accurate by the \
deadline is chosen; of those as accurate, within half a point, the fastest.


[bold]Exit status[/bold]

0 there is a plan; 2 the input must change; 130 ended by Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCommand:
    """What ``plan`` was asked to do."""

    deadline: Annotated[
        str,
        typer.Option(
            "--deadline",
            "-d",
            metavar="SECONDS,…",
            help="One, or several for a curve; the config is written for the first.",
        ),
    ]
    profile: Annotated[
        Path, typer.Option("--profile", metavar="FILE", help="Of frontrunner profile.")
    ] = Path("profile.json")
    pilot: Annotated[
        list[Path] | None,
        typer.Option(
            "--pilot",
            metavar="FILE",
            help="Of frontrunner pilot, or whatever replay reads; repeat it for more.",
            show_default="pilot.ndjson",
        ),
    ] = None
    config: ConfigFile = None
    sets: Sets = None
    load: Annotated[
        int,
        typer.Option("--load", metavar="N", help="Branches of other races that run all the while."),
    ] = 0
    search: Annotated[
        str,
        typer.Option(
            "--search",
            metavar="exhaustive|greedy",
            help="Everything, or the climb of the paper's Algorithm 1.",
        ),
    ] = "exhaustive"
    branches: Annotated[
        int | None,
        typer.Option(
            "--branches",
            "-b",
            metavar="B",
            help="At most.",
            show_default="what config, profile and pilot allow",
        ),
    ] = None
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            metavar="N",
            min=1,
            help="Random draws of branches for each question.",
            show_default="about 600 races in all",
        ),
    ] = None
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which draws.")] = 0
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="The config, and beside it (.json) what a runtime plans by.",
            show_default=False,
        ),
    ] = None
    reader: Reader = None
    json: Annotated[bool, typer.Option("--json", help="The plan as one JSON object.")] = False
