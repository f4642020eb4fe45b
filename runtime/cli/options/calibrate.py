"""The options and help texts of ``frontrunner calibrate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import Reader

HELP = (
    "Fit the reward threshold of best_of_n for a target precision, or what a confidence is worth."
    "\n\nWith --precision it reads traces of frontrunner solve --trace with scores, and sets of "
    "scored responses, and prints the lines for a config. With --accuracy it reads the traces of "
    "frontrunner pilot and writes a file by which results say how likely they are right."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner calibrate math_rm8.jsonl --precision 0.9[/cyan]

[cyan]frontrunner calibrate math_rm8.jsonl --precision 0.95 --bound none[/cyan]   with few \
questions

[cyan]frontrunner calibrate races.ndjson --precision 0.95 --json | jq .held_out.precision[/cyan]

To record scored traces and use what they say:

[cyan]frontrunner solve -f questions.jsonl -c my-engine.toml --strategy best_of_n --trace \
races.ndjson[/cyan]

[cyan]frontrunner calibrate races.ndjson --precision 0.95 > threshold.toml[/cyan]   lines for \
my-engine.toml

To have results say how likely they are right (accuracy_estimate), and not only how sure the model \
is (confidence):

[cyan]frontrunner pilot -f questions.jsonl -c my-engine.toml -o pilot.ndjson[/cyan]

[cyan]frontrunner calibrate pilot.ndjson --accuracy accuracy.json --branches 16[/cyan]   then \
calibration = "accuracy.json" in \\[race]


[bold]What is fitted[/bold]

With --precision: best_of_n takes the first branch to arrive whose score reaches the threshold. \
Precision is the share of questions decided so that are decided rightly; each question counts \
once. The lowest threshold is chosen whose precision, smoothed and with its lower confidence \
bound, is as asked for. That is done on a part of the questions; the others show what it is \
worth. It holds for races of as many branches as were recorded.

With --accuracy: the share of right answers among replayed races of a confidence, for answers that \
finished branches gave and for forced ones apart. The held-out questions show how far what is said \
is from what was right. The file is fitted to all of them, and holds for questions of that kind.


[bold]Exit status[/bold]

0 there is a threshold, or the file is written; 1 no threshold is that precise, and the closest \
one is shown; 2 the input must change; 130 ended by Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateCommand:
    """What ``calibrate`` was asked to do."""

    traces: Annotated[
        list[Path], typer.Argument(metavar="TRACES…", help="Files with scored branches.")
    ]
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision", metavar="P", help="Share of the early decisions that shall be right."
        ),
    ] = None
    accuracy: Annotated[
        Path | None,
        typer.Option(
            "--accuracy", metavar="FILE", help="Write what a confidence is worth to this file."
        ),
    ] = None
    strategy: Annotated[
        str,
        typer.Option("--strategy", metavar="S", help="Of these races, as replay takes it."),
    ] = "majority"
    branches: Annotated[
        int, typer.Option("--branches", "-b", metavar="B", min=1, help="Of these races.")
    ] = 16
    draws: Annotated[
        int,
        typer.Option("--draws", metavar="N", min=1, help="Orders of the branches of a question."),
    ] = 25
    confidence: Annotated[
        float,
        typer.Option("--confidence", metavar="C", help="Of the lower bound of the precision."),
    ] = 0.9
    bound: Annotated[
        str,
        typer.Option(
            "--bound",
            metavar="wilson|none",
            help="What must reach the precision: its lower bound, or the precision itself.",
        ),
    ] = "wilson"
    holdout: Annotated[
        float,
        typer.Option(
            "--holdout", metavar="SHARE", help="Of the questions, to check on and not to fit on."
        ),
    ] = 0.5
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Which questions are held out.")
    ] = 0
    reader: Reader = None
    json: Annotated[bool, typer.Option("--json", help="All figures as one JSON object.")] = False
