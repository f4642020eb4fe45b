"""The options and help texts of ``frontrunner solve``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import Branches, ConfigFile, Deadline, Sets, Uvloop

HELP = (
    "Race a question: the best answer by the deadline.\n\nOn a terminal you watch the "
    "branches, the votes and the clock. Into a pipe or a file go plain lines, or with --json all "
    "events."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner solve "$(cat question.txt)" --deadline 5[/cyan]

[cyan]frontrunner solve "…" --deadline 2 --branches 32 --seed 7[/cyan]

[cyan]cat question.txt | frontrunner solve --json | jq 'select(.result).result.answer'[/cyan]

[cyan]frontrunner solve --file questions.jsonl --config my-engine.toml[/cyan]

[cyan]frontrunner solve "…" --url http://gpu-host:8000[/cyan]   a server that runs already

[cyan]frontrunner solve "…" --strategy majority --param stop=lead --param lead=2[/cyan]


[bold]Exit status[/bold]

0 there is an answer; 1 there is none, or the engine failed; 2 the input, the config or the \
installation must change; 130 ended by Ctrl-C (143: by SIGTERM), with the best answer so far on \
standard error, every branch aborted and no process left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveCommand:
    """What ``solve`` was asked to do."""

    question: Annotated[
        str | None,
        typer.Argument(
            help="The question. Without it, or as -, it is read from standard input.",
            show_default=False,
        ),
    ] = None
    deadline: Deadline = None
    branches: Branches = None
    config: ConfigFile = None
    sets: Sets = None
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Ask the server of Frontrunner at this address, such as http://127.0.0.1:8000 or "
            "unix:/path; FRONTRUNNER_API_KEY holds its key. Without it one on this machine is "
            "asked that runs on the same config at the config's own address.",
            show_default="a local server of the config, if there is one",
        ),
    ] = None
    own_engine: Annotated[
        bool,
        typer.Option(
            "--own-engine", help="Start an engine, also where a server runs on the same config."
        ),
    ] = False
    answer: Annotated[
        str | None,
        typer.Option(
            "--answer",
            metavar="TEXT",
            help="The right answer, if it is known: then it is said whether the race was right.",
            show_default=False,
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Makes the branches repeatable."),
    ] = None
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy", metavar="NAME", help="Who decides.", show_default="the config's"
        ),
    ] = None
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="KEY=VALUE",
            help="A parameter of the strategy; repeat it for more.",
            show_default=False,
        ),
    ] = None
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Several questions, raced one after another: one a line, or each of several lines "
            "between lines of three dashes, or in a .jsonl file an object a line with "
            '"question", "problem" or "messages", and "answer" if it is known.',
            show_default=False,
        ),
    ] = None
    json: Annotated[
        bool,
        typer.Option("--json", help='Every event as a line of JSON; the last has the "result".'),
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but the answer.")] = False
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Also append each race to this file, a line each, for frontrunner replay.",
            show_default=False,
        ),
    ] = None
    uvloop: Uvloop = False
