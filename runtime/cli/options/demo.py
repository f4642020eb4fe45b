"""The options and help texts of ``frontrunner demo``."""

from dataclasses import dataclass
from typing import Annotated

import typer

from .common import ConfigFile, Deadline, Sets

HELP = (
    "Watch a few races on this machine.\n\nStarts the embedded model on vLLM once and races "
    "built-in word problems whose answers are known, then shows what racing saved."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner demo[/cyan]

[cyan]frontrunner demo --deadline 2 --branches 32[/cyan]

[cyan]frontrunner demo --count 10 --seed 3[/cyan]

[cyan]frontrunner demo --count 1 --slower 20[/cyan]   slowly enough to watch


[bold]Exit status[/bold]

0 every race came back by its deadline; 1 one did not; 2 and 130 as for solve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCommand:
    """What ``demo`` was asked to do."""

    deadline: Deadline = None
    branches: Annotated[
        int,
        typer.Option("--branches", "-b", metavar="B", help="Reasoning branches of each race."),
    ] = 8
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", help="Problems to race.", min=1, max=1000)
    ] = 5
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Which problems, and which branches.")
    ] = 0
    slower: Annotated[
        float,
        typer.Option(
            "--slower",
            metavar="FACTOR",
            min=1,
            max=1000,
            help="Show each race so many times slower than it ran, once it is over: it is decided "
            "in half a second. On a terminal only.",
        ),
    ] = 1
    config: ConfigFile = None
    sets: Sets = None
