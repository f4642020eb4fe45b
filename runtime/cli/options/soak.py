"""The options and help texts of ``frontrunner soak``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import ConfigFile, Sets

HELP = (
    "Load a server for hours, and see whether it keeps its word.\n\nUsers ask, leave in the middle "
    "and read slowly, over HTTP and websockets; the engine can be killed as well. Told are missed "
    "deadlines, how memory grows, and what leaks: requests, files, processes."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner soak --duration 10m[/cyan]   the embedded demo model, 30 % of the races left

[cyan]frontrunner soak --config my-engine.toml --duration 8h --users 16 --file questions.jsonl \
--out soak/[/cyan]   before a release

[cyan]frontrunner soak --duration 1h --kill-every 120[/cyan]   the engine's processes get SIGKILL \
and SIGSTOP by turns


[bold]What it does[/bold]

It starts frontrunner serve with the config, in a process of its own on a unix socket, and stays \
outside of it. Each user asks one question after another: whole replies, streams and websockets by \
turns, with deadlines of 0.5 to 1.5 times --deadline. The users run on this machine too, and take \
their share of it: if their own event loop is late, the summary says by how much.


[bold]Going on[/bold]

Everything is a line of soak.jsonl as it happens. Ctrl-C ends it with the summary so far; the same \
command goes on until --duration is over, on a new server, and sums up all of it.


[bold]What must hold[/bold]

No reply over 50 ms after its deadline; no race failed (one that is refused has not: the server \
was busy); nothing left in the engine, in shared memory, in the temporary folder, of processes; at \
most 16 open files more; from half an hour on, the server's memory grows by less than 1 % an hour.


[bold]Exit status[/bold]

0 all held; 1 something did not, or the server died; 2 the input must change; 130 ended by \
Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakCommand:
    """What ``soak`` was asked to do."""

    config: ConfigFile = None
    sets: Sets = None
    duration: Annotated[
        str,
        typer.Option(
            "--duration",
            "-t",
            metavar="TIME",
            help="Of load, in all: 90s, 10m, 8h.",
        ),
    ] = "1h"
    users: Annotated[
        int, typer.Option("--users", "-u", metavar="U", min=1, help="Races at once, at most.")
    ] = 4
    pause: Annotated[
        float,
        typer.Option(
            "--pause", metavar="SECONDS", min=0.0, help="Of a user between two races, on average."
        ),
    ] = 0.2
    deadline: Annotated[
        float | None,
        typer.Option(
            "--deadline",
            "-d",
            metavar="SECONDS",
            min=0.05,
            help="Of a race, on average.",
            show_default="the config's",
        ),
    ] = None
    cancels: Annotated[
        float,
        typer.Option(
            "--cancels", metavar="SHARE", min=0.0, max=1.0, help="Races whose client leaves."
        ),
    ] = 0.3
    slow: Annotated[
        float,
        typer.Option(
            "--slow", metavar="SHARE", min=0.0, max=1.0, help="Races whose client reads slowly."
        ),
    ] = 0.1
    kill_every: Annotated[
        float | None,
        typer.Option(
            "--kill-every",
            metavar="SECONDS",
            min=1.0,
            help="How often the engine's processes are killed, or stopped.",
            show_default="never",
        ),
    ] = None
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Questions, as for solve and bench.",
            show_default="the demo's own",
        ),
    ] = None
    sample_every: Annotated[
        float,
        typer.Option(
            "--sample-every", metavar="SECONDS", min=0.1, help="How often memory is looked at."
        ),
    ] = 5.0
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Who does what.")] = 0
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="A folder for the log and the plot.")
    ] = Path("soak")
    json: Annotated[bool, typer.Option("--json", help="The summary as a line of JSON.")] = False
