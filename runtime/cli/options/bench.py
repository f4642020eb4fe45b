"""The options and help texts of ``frontrunner bench``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import Sets

HELP = (
    "Compare strategies, branches, deadlines and configs on a running engine.\n\nAll of them race "
    "the same questions in turns. A benchmark that was broken off goes on where it was; the table "
    "is also a CSV file, and one HTML file with plots."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner bench --count 20[/cyan]   the demo's model on problems that it was not trained on

[cyan]frontrunner bench --file math500.jsonl --config my-engine.toml --strategy majority \
--strategy majority:stop=none --branches 8,16 --deadlines 5,10,20 --users 1,4 --out bench/[/cyan]

[cyan]frontrunner bench --config a.toml --config b.toml --file questions.jsonl --rounds 3[/cyan]   \
two engines, three times in turns


[bold]Questions[/bold]

demo:select and demo:test are the demo's own. A file has an object a line: question (or problem) \
and answer, as MATH-500 and GSM8K have them; of an answer with "####" what follows that counts. \
Answers are compared as in a race.


[bold]Exit status[/bold]

0 all races were run; 1 the engine failed, and the table holds what there was; 2 the input must \
change; 130 ended by Ctrl-C: run it again to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCommand:
    """What ``bench`` was asked to do."""

    sets: Sets = None
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="Engine and defaults; repeat it to compare several.",
            show_default="FRONTRUNNER_CONFIG's, or the demo's",
        ),
    ] = None
    file: Annotated[
        str,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Questions with answers, or demo:select, demo:test.",
        ),
    ] = "demo:select"
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, help="Questions at most.")
    ] = 60
    strategies: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME[:KEY=VALUE,…]",
            help="A strategy with parameters; repeat it for more. config: the config's own.",
            show_default="config, and waiting for all",
        ),
    ] = None
    branches: Annotated[
        str | None,
        typer.Option(
            "--branches",
            "-b",
            metavar="B,…",
            help="Branches of a race.",
            show_default="the config's",
        ),
    ] = None
    deadlines: Annotated[
        str | None,
        typer.Option(
            "--deadlines",
            "-d",
            metavar="SECONDS,…",
            help="Of a race.",
            show_default="the config's",
        ),
    ] = None
    users: Annotated[
        str,
        typer.Option("--users", "-u", metavar="U,…", help="Races at once, a user one at a time."),
    ] = "1"
    rounds: Annotated[
        int,
        typer.Option(
            "--rounds", metavar="N", min=1, help="How often each question is raced, by other seeds."
        ),
    ] = 1
    baseline: Annotated[
        str,
        typer.Option("--baseline", metavar="STRATEGY", help="What the others are compared with."),
    ] = "majority:stop=none"
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            metavar="TOKENS",
            min=1,
            help="What a race may cost, in the figure of right, in time and within budget.",
            show_default="any number",
        ),
    ] = None
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which branches.")] = 0
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="A folder for races, tables and report."),
    ] = Path("bench")
    json: Annotated[bool, typer.Option("--json", help="Each cell as a line of JSON.")] = False
