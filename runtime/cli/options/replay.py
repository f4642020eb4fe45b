"""The options and help texts of ``frontrunner replay``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import Reader

HELP = (
    "Compare strategies on recorded branches, fast and without an engine.\n\nReads traces of "
    "frontrunner solve --trace and pilot, Parallel-Probe's files of probed branches, scored "
    "responses, runs of agents, and the plain form that frontrunner convert writes. Times are in "
    "tokens of a branch, or with --step-seconds in seconds."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner replay aime24.json[/cyan]   every stop rule, 16 branches, no deadline

[cyan]frontrunner replay aime24.json --branches 8,16,32,64 --draws 100 --out results[/cyan]

[cyan]frontrunner replay aime24.json -s majority:max_flip_risk=0.1 -s first_to_m:m=3[/cyan]

[cyan]frontrunner replay aime24.json --deadlines none,4000,8000,16000 --forced on,off[/cyan]

[cyan]frontrunner replay math_rm8.jsonl -b 8 -s best_of_n -s best_of_n:threshold=3.5 --json[/cyan]

[cyan]frontrunner replay agents.jsonl -b 1,5 -s best_of_n:threshold=1 --verifier-error 0.1[/cyan]

[cyan]frontrunner replay aime24.json --step-seconds 0.01 --deadlines 60,120[/cyan]   in seconds


[bold]What is replayed[/bold]

The strategies themselves, over branches that advance at equal speed. A cell is a strategy with a \
number of branches and a deadline; all cells see the same random draws of branches. Intervals are \
95 % over questions, differences paired. The row "clairvoyant" stops at the earliest moment from \
which the leader stays the final majority's answer.


[bold]Exit status[/bold]

0 the table is written; 1 a strategy failed; 2 the input must change; 130 ended by Ctrl-C (with \
--out what was done until then is kept)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayCommand:
    """What ``replay`` was asked to do."""

    traces: Annotated[
        list[Path], typer.Argument(metavar="TRACES…", help="Files with recorded branches.")
    ]
    strategies: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME[:KEY=VALUE,…]",
            help="A strategy with parameters; repeat it for more.",
            show_default="all stop rules",
        ),
    ] = None
    branches: Annotated[
        str, typer.Option("--branches", "-b", metavar="B,…", help="Branches of a race.")
    ] = "16"
    deadlines: Annotated[
        str, typer.Option("--deadlines", "-d", metavar="D,…", help="Deadlines; none: no deadline.")
    ] = "none"
    forced: Annotated[
        str,
        typer.Option("--forced", metavar="on,off", help="With forced answers, without, or both."),
    ] = "on"
    draws: Annotated[
        int, typer.Option("--draws", "-n", metavar="N", help="Random draws for each question.")
    ] = 100
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which draws.")] = 0
    step_seconds: Annotated[
        float | None,
        typer.Option(
            "--step-seconds",
            metavar="S",
            help="Seconds that one token takes: all times are in seconds then.",
            show_default="times in tokens",
        ),
    ] = None
    reserve: Annotated[
        float, typer.Option("--reserve", help="From the call time to the deadline.")
    ] = 0.0
    forced_cost: Annotated[
        float, typer.Option("--forced-cost", help="What forced answers take.")
    ] = 0.0
    score_delay: Annotated[float, typer.Option("--score-delay", help="What scores take.")] = 0.0
    verifier_error: Annotated[
        float,
        typer.Option(
            "--verifier-error",
            metavar="SHARE",
            help="Branches that whoever scores them misjudges; no two answers are then the same.",
        ),
    ] = 0.0
    lengths: Annotated[
        str,
        typer.Option(
            "--lengths",
            metavar="pooled|none|MEDIAN,P95",
            help="What is known beforehand of how long branches get, where there is a deadline: "
            "the lengths of all other questions, nothing, or quantiles in tokens.",
        ),
    ] = "pooled"
    baseline: Annotated[
        str,
        typer.Option("--baseline", metavar="STRATEGY", help="What the others are compared with."),
    ] = "majority:stop=none"
    processes: Annotated[
        int | None,
        typer.Option("--processes", metavar="N", min=1, help="At most.", show_default="all cores"),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="A folder for the table, a CSV file and plots. What is broken off goes on there "
            "when the same is asked again.",
            show_default=False,
        ),
    ] = None
    per_draw: Annotated[
        bool,
        typer.Option(
            "--per-draw",
            help="With --out also each single race, in draws.csv: whether it was right, its "
            "latency and its tokens.",
        ),
    ] = False
    reader: Reader = None
    json: Annotated[bool, typer.Option("--json", help="Each cell as a line of JSON.")] = False
