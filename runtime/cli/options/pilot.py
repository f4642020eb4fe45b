"""The options and help texts of ``frontrunner pilot``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import ConfigFile, Sets

HELP = (
    "Record whole branches of questions with known answers, to plan by.\n\nEach race "
    "waits for all of its branches, and asks them on the way what they would answer."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner pilot --out pilot.ndjson[/cyan]   problems of the demo's select split

[cyan]frontrunner pilot --file questions.jsonl --config my-engine.toml --branches 32 \
--probe-every 256 --out pilot.ndjson[/cyan]

A line of questions.jsonl: {"question": "…", "answer": "…"}. A pilot that was broken off goes on \
where it was.


[bold]Exit status[/bold]

0 the races are recorded; 1 the engine failed; 2 the input must change; 130 ended by Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotCommand:
    """What ``pilot`` was asked to do."""

    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Questions with answers, an object a line.",
            show_default="the demo's own",
        ),
    ] = None
    config: ConfigFile = None
    sets: Sets = None
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Races are appended to it.")
    ] = Path("pilot.ndjson")
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, help="Questions at most.")
    ] = 60
    branches: Annotated[
        int, typer.Option("--branches", "-b", metavar="B", help="Branches of each.")
    ] = 32
    probe_every: Annotated[
        int,
        typer.Option(
            "--probe-every",
            metavar="TOKENS",
            help="How often a branch is asked what it would answer; 0: never.",
        ),
    ] = 32
    logprobs: Annotated[
        bool,
        typer.Option(
            "--logprobs",
            help="Record the mean log probability of each branch's tokens too, to replay "
            "[bold]weight=likelihood[/bold]; the engine must give them.",
        ),
    ] = False
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which branches.")] = 0
    deadline: Annotated[
        float,
        typer.Option("--deadline", "-d", metavar="SECONDS", help="Of a race: none should need it."),
    ] = 600.0
