"""The options and help texts of the planning commands: ``profile``, ``pilot``, ``plan``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from . import RuntimeFactory

_Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="A TOML file that describes the engine and the races. Without it: the embedded demo "
        "model on vLLM.",
        show_default=False,
    ),
]

_PROFILE_EXAMPLES = """[bold]Examples[/bold]

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

_PILOT_EXAMPLES = """[bold]Examples[/bold]

[cyan]frontrunner pilot --out pilot.ndjson[/cyan]   problems of the demo's select split

[cyan]frontrunner pilot --file questions.jsonl --config my-engine.toml --branches 32 \
--probe-every 256 --out pilot.ndjson[/cyan]

A line of questions.jsonl: {"question": "…", "answer": "…"}. A pilot that was broken off goes on \
where it was.


[bold]Exit status[/bold]

0 the races are recorded; 1 the engine failed; 2 the input must change; 130 ended by Ctrl-C."""

_PLAN_EXAMPLES = """[bold]Examples[/bold]

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


def register(app: typer.Typer, factory: "Callable[[typer.Context], RuntimeFactory]") -> None:
    """Add the commands to ``app``; ``factory`` makes their runtimes."""

    @app.command(
        epilog=_PROFILE_EXAMPLES,
        help="Measure what the engine of a config can do.\n\nWrites one JSON file, for "
        "frontrunner plan, and plots.",
    )
    def profile(  # pyright: ignore[reportUnusedFunction]
        context: typer.Context,
        config: _Config = None,
        out: Annotated[
            Path, typer.Option("--out", "-o", metavar="FILE", help="Where the profile goes.")
        ] = Path("profile.json"),
        quick: Annotated[
            bool, typer.Option("--quick", help="Fewer points, under two minutes on the demo.")
        ] = False,
        engine_args: Annotated[
            list[str] | None,
            typer.Option(
                "--engine-args",
                metavar="KEY=VALUE,…",
                help="Another variant of the engine, by keys of \\[engine]; repeat it for more. "
                "VALUE|VALUE stands for several.",
                show_default=False,
            ),
        ] = None,
        in_turns: Annotated[
            bool,
            typer.Option(
                "--in-turns",
                help="Start the engines of all variants together and measure them in turns, so "
                "that a machine whose speed changes is as fast for one as for the next. They must "
                "fit beside each other.",
            ),
        ] = False,
        questions: Annotated[
            Path | None,
            typer.Option(
                "--questions",
                metavar="FILE",
                help="What is asked, as in solve --file; it decides how much of a draft is "
                "accepted. With cross_branch some hundreds: it drafts from what it answered "
                "before.",
                show_default="a few of our own",
            ),
        ] = None,
        fresh: Annotated[
            bool, typer.Option("--fresh", help="Measure anew what the file holds already.")
        ] = False,
        simulate: Annotated[
            str | None,
            typer.Option(
                "--simulate",
                metavar="MODEL:GPU",
                help="No engine: what the data sheets of a model and a GPU say.",
                show_default=False,
            ),
        ] = None,
        draft: Annotated[
            str | None,
            typer.Option(
                "--draft",
                metavar="MODEL",
                help="With --simulate: its draft model.",
                show_default=False,
            ),
        ] = None,
        acceptance: Annotated[
            float,
            typer.Option(
                "--acceptance",
                metavar="P",
                min=0.0,
                max=1.0,
                help="With --simulate: probability that a draft token is accepted.",
            ),
        ] = 0.7,
        plot: Annotated[
            bool, typer.Option("--plot/--no-plot", help="Also draw a PNG file beside it.")
        ] = True,
        json: Annotated[
            bool, typer.Option("--json", help="The fitted models as one JSON object.")
        ] = False,
    ) -> int:
        from .commands.profile import ProfileCommand, run_profile

        command = ProfileCommand(
            config=config,
            out=out,
            quick=quick,
            engine_args=engine_args or [],
            in_turns=in_turns,
            questions=questions,
            fresh=fresh,
            simulate=simulate,
            draft=draft,
            acceptance=acceptance,
            plot=plot,
            json=json,
        )
        return run_profile(command, factory(context))

    @app.command(
        epilog=_PILOT_EXAMPLES,
        help="Record whole branches of questions with known answers, to plan by.\n\nEach race "
        "waits for all of its branches, and asks them on the way what they would answer.",
    )
    def pilot(  # pyright: ignore[reportUnusedFunction]
        context: typer.Context,
        file: Annotated[
            Path | None,
            typer.Option(
                "--file",
                "-f",
                metavar="FILE",
                help="Questions with answers, an object a line.",
                show_default="the demo's own",
            ),
        ] = None,
        config: _Config = None,
        out: Annotated[
            Path, typer.Option("--out", "-o", metavar="FILE", help="Races are appended to it.")
        ] = Path("pilot.ndjson"),
        count: Annotated[
            int, typer.Option("--count", "-n", metavar="N", min=1, help="Questions at most.")
        ] = 60,
        branches: Annotated[
            int, typer.Option("--branches", "-b", metavar="B", help="Branches of each.")
        ] = 32,
        probe_every: Annotated[
            int,
            typer.Option(
                "--probe-every",
                metavar="TOKENS",
                help="How often a branch is asked what it would answer; 0: never.",
            ),
        ] = 32,
        seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which branches.")] = 0,
        deadline: Annotated[
            float,
            typer.Option(
                "--deadline", "-d", metavar="SECONDS", help="Of a race: none should need it."
            ),
        ] = 600.0,
    ) -> int:
        from .commands.pilot import PilotCommand, run_pilot

        command = PilotCommand(file, config, out, count, branches, probe_every, seed, deadline)
        return run_pilot(command, factory(context))

    @app.command(
        epilog=_PLAN_EXAMPLES,
        help="Choose branches, speculation and stop rule for a deadline.\n\nSays why, and what is "
        "to be expected; writes a config for solve and serve.",
    )
    def plan(  # pyright: ignore[reportUnusedFunction]
        deadline: Annotated[
            str,
            typer.Option(
                "--deadline",
                "-d",
                metavar="SECONDS,…",
                help="One, or several for a curve; the config is written for the first.",
            ),
        ],
        profile: Annotated[
            Path, typer.Option("--profile", metavar="FILE", help="Of frontrunner profile.")
        ] = Path("profile.json"),
        pilot: Annotated[
            list[Path] | None,
            typer.Option(
                "--pilot",
                metavar="FILE",
                help="Of frontrunner pilot, or whatever replay reads; repeat it for more.",
                show_default="pilot.ndjson",
            ),
        ] = None,
        config: _Config = None,
        load: Annotated[
            int,
            typer.Option(
                "--load", metavar="N", help="Branches of other races that run all the while."
            ),
        ] = 0,
        search: Annotated[
            str,
            typer.Option(
                "--search",
                metavar="exhaustive|greedy",
                help="Everything, or the climb of the paper's Algorithm 1.",
            ),
        ] = "exhaustive",
        branches: Annotated[
            int | None,
            typer.Option(
                "--branches",
                "-b",
                metavar="B",
                help="At most.",
                show_default="what config, profile and pilot allow",
            ),
        ] = None,
        draws: Annotated[
            int | None,
            typer.Option(
                "--draws",
                metavar="N",
                min=1,
                help="Random draws of branches for each question.",
                show_default="about 600 races in all",
            ),
        ] = None,
        seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which draws.")] = 0,
        out: Annotated[
            Path | None,
            typer.Option(
                "--out",
                "-o",
                metavar="FILE",
                help="The config, and beside it (.json) what a runtime plans by.",
                show_default=False,
            ),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="The plan as one JSON object.")] = False,
    ) -> int:
        from .commands.plan import PlanCommand, run_plan

        return run_plan(
            PlanCommand(
                deadline=deadline,
                profile=profile,
                pilot=pilot or [Path("pilot.ndjson")],
                config=config,
                load=load,
                search=search,
                branches=branches,
                draws=draws,
                seed=seed,
                out=out,
                json=json,
            )
        )
