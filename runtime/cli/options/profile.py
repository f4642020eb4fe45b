"""The options and help texts of ``frontrunner profile``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import ConfigFile, Sets

HELP = (
    "Measure what the engine of a config can do.\n\nWrites one JSON file, for "
    "frontrunner plan, and plots."
)
EPILOG = """[bold]Examples[/bold]

[cyan]frontrunner profile --quick[/cyan]   the demo's engine, in under two minutes

[cyan]frontrunner profile --config my-engine.toml --out my-engine.json[/cyan]

[cyan]frontrunner profile --engine-args \
speculation.method=draft_model,speculation.model=demo-draft,speculation.tokens="1|3|5"[/cyan]   \
three variants

[cyan]frontrunner profile --simulate qwen2.5-32b:h200 --draft qwen2.5-0.5b --out 32b.json[/cyan]   \
what data sheets say


[bold]What is measured[/bold]

The time of a token over the number of branches, their context and K; the launch of branches; a \
round of forced answers; an abort, until the engine is free again; with speculation the acceptance \
length by position. Without speculation, with the config's own, and with each --engine-args, one \
after the other or --in-turns. A profile that was broken off goes on where it was; one that is \
complete is added to. The engine should have the machine for itself.


[bold]Exit status[/bold]

0 the profile is written; 1 the engine failed; 2 the input must change; 130 ended by Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCommand:
    """What ``profile`` was asked to do."""

    config: ConfigFile = None
    sets: Sets = None
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the profile goes.")
    ] = Path("profile.json")
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer points, under two minutes on the demo.")
    ] = False
    engine_args: Annotated[
        list[str] | None,
        typer.Option(
            "--engine-args",
            metavar="KEY=VALUE,…",
            help="Another variant of the engine, by keys of \\[engine]; repeat it for more. "
            "VALUE|VALUE stands for several.",
            show_default=False,
        ),
    ] = None
    in_turns: Annotated[
        bool,
        typer.Option(
            "--in-turns",
            help="Start the engines of all variants together and measure them in turns, so "
            "that a machine whose speed changes is as fast for one as for the next. They must "
            "fit beside each other.",
        ),
    ] = False
    questions: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            "--questions",
            metavar="FILE",
            help="What is asked, as in solve --file; it decides how much of a draft is "
            "accepted. With cross_branch some hundreds: it drafts from what it answered "
            "before.",
            show_default="a few of our own",
        ),
    ] = None
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure anew what the file holds already.")
    ] = False
    simulate: Annotated[
        str | None,
        typer.Option(
            "--simulate",
            metavar="MODEL:GPU",
            help="No engine: what the data sheets of a model and a GPU say.",
            show_default=False,
        ),
    ] = None
    draft: Annotated[
        str | None,
        typer.Option(
            "--draft",
            metavar="MODEL",
            help="With --simulate: its draft model.",
            show_default=False,
        ),
    ] = None
    acceptance: Annotated[
        float,
        typer.Option(
            "--acceptance",
            metavar="P",
            min=0.0,
            max=1.0,
            help="With --simulate: probability that a draft token is accepted.",
        ),
    ] = 0.7
    plot: Annotated[
        bool, typer.Option("--plot/--no-plot", help="Also draw a PNG file beside it.")
    ] = True
    json: Annotated[bool, typer.Option("--json", help="The fitted models as one JSON object.")] = (
        False
    )
