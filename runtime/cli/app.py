"""The commands with their options and help texts; what they do is in a module of its own each."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frontrunner import __version__

from ..errors import FrontrunnerError
from . import planning_options as planning
from .display.output import OutputClosed, silence_output
from .running import ExitStatus, Interrupted, complain, status_of

if TYPE_CHECKING:
    from ..config import Settings
    from ..runtime import Runtime
    from . import RuntimeFactory

# typer is built on click, or brings its own copy of it: this is its base class of usage errors.
_UsageError: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="frontrunner",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

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
_Deadline = Annotated[
    float | None,
    typer.Option(
        "--deadline",
        "-d",
        metavar="SECONDS",
        help="There is an answer after this time at the latest.",
        show_default="the config's",
    ),
]
_Branches = Annotated[
    int | None,
    typer.Option(
        "--branches",
        "-b",
        metavar="B",
        help="Reasoning branches that race.",
        show_default="the config's",
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"frontrunner {__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    help="Ask a question with a deadline.\n\nFrontrunner races reasoning branches on vLLM, calls "
    "the race as soon as there is a clear front-runner, cancels the losers, and always answers in "
    "time.",
    epilog="[bold]Start here[/bold]: [cyan]frontrunner demo[/cyan] races a few problems on this "
    "machine, [cyan]frontrunner doctor[/cyan] says what is missing if that does not work, and "
    "[cyan]frontrunner COMMAND --help[/cyan] has examples.",
)
def _frontrunner(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Say the version, or what there is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    epilog="""[bold]Examples[/bold]

[cyan]frontrunner solve "$(cat question.txt)" --deadline 5[/cyan]

[cyan]frontrunner solve "…" --deadline 2 --branches 32 --seed 7[/cyan]

[cyan]cat question.txt | frontrunner solve --json | jq 'select(.result).result.answer'[/cyan]

[cyan]frontrunner solve --file questions.jsonl --config my-engine.toml[/cyan]

[cyan]frontrunner solve "…" --strategy majority --param stop=lead --param lead=2[/cyan]


[bold]Exit status[/bold]

0 there is an answer; 1 there is none, or the engine failed; 2 the input, the config or the \
installation must change; 130 ended by Ctrl-C (143: by SIGTERM), with every branch aborted and no \
process left behind.""",
    help="Race a question: the best answer by the deadline.\n\nOn a terminal you watch the "
    "branches, the votes and the clock. Into a pipe or a file go plain lines, or with --json all "
    "events.",
)
def solve(
    context: typer.Context,
    question: Annotated[
        str | None,
        typer.Argument(
            help="The question. Without it, or as -, it is read from standard input.",
            show_default=False,
        ),
    ] = None,
    deadline: _Deadline = None,
    branches: _Branches = None,
    config: _Config = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Makes the branches repeatable."),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy", metavar="NAME", help="Who decides.", show_default="the config's"
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="KEY=VALUE",
            help="A parameter of the strategy; repeat it for more.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Several questions, raced one after another: one a line, or in a .jsonl file an "
            'object a line with "question", "problem" or "messages", and "answer" if it is known.',
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help='Every event as a line of JSON; the last has the "result".'),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but the answer.")] = False,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Also append each race to this file, a line each, for frontrunner replay.",
            show_default=False,
        ),
    ] = None,
    uvloop: Annotated[
        bool, typer.Option("--uvloop", help="Run on uvloop, if it is installed.")
    ] = False,
) -> int:
    """Race a question."""
    from .commands.solve import SolveCommand, run_solve
    from .races import RaceOptions, read_parameters

    options = RaceOptions(deadline, branches, seed, strategy, read_parameters(param or []))
    command = SolveCommand(question, file, config, options, json, quiet, uvloop, trace)
    return run_solve(command, _factory(context))


@app.command(
    epilog="""[bold]Examples[/bold]

[cyan]frontrunner demo[/cyan]

[cyan]frontrunner demo --deadline 2 --branches 32[/cyan]

[cyan]frontrunner demo --count 10 --seed 3[/cyan]


[bold]Exit status[/bold]

0 every race came back by its deadline; 1 one did not; 2 and 130 as for solve.""",
    help="Watch a few races on this machine.\n\nStarts the embedded model on vLLM once and races "
    "built-in word problems whose answers are known, then shows what racing saved.",
)
def demo(
    context: typer.Context,
    deadline: _Deadline = None,
    branches: Annotated[
        int,
        typer.Option("--branches", "-b", metavar="B", help="Reasoning branches of each race."),
    ] = 8,
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", help="Problems to race.", min=1, max=1000)
    ] = 5,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Which problems, and which branches.")
    ] = 0,
    config: _Config = None,
) -> int:
    """Watch a few races on this machine."""
    from .commands.demo import run_demo
    from .races import RaceOptions

    return run_demo(RaceOptions(deadline, branches, seed), count, config, _factory(context))


@app.command(
    epilog="""[bold]Examples[/bold]

[cyan]frontrunner doctor[/cyan]

[cyan]frontrunner doctor --no-engine[/cyan]   without starting the engine

[cyan]frontrunner doctor --config my-engine.toml --json[/cyan]


[bold]Exit status[/bold]

0 nothing is wrong (warnings do not count); 1 something is."""
)
def doctor(
    context: typer.Context,
    config: _Config = None,
    engine: Annotated[
        bool,
        typer.Option("--engine/--no-engine", help="Generate a token on the configured engine."),
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="The findings as one JSON object.")] = False,
) -> int:
    """Check the installation, and say what to do about each finding."""
    from .commands.doctor import run_doctor

    return run_doctor(config, _factory(context), engine=engine, json=json)


@app.command(
    epilog="""[bold]Examples[/bold]

[cyan]frontrunner serve[/cyan]   the embedded demo model on http://127.0.0.1:8000/v1

[cyan]frontrunner serve --config my-engine.toml --host 0.0.0.0 --port 9000[/cyan]

[cyan]curl http://127.0.0.1:8000/v1/chat/completions -d '{"messages": [{"role": "user", "content": \
"…"}], "frontrunner": {"deadline": 5}}'[/cyan]

With OpenAI's client, change the address and put what is Frontrunner's own into extra_body:

[cyan]client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")[/cyan]

[cyan]client.chat.completions.create(model="demo", messages=…, stream=True, \
extra_body={"frontrunner": {"deadline": 5, "branches": 16}})[/cyan]


[bold]Ending it[/bold]

At Ctrl-C or SIGTERM it says at /readyz that it is not ready, takes requests for \
server.drain_grace seconds more, then refuses new ones while running races come to their answers, \
by their deadlines or within server.drain_limit seconds. A second signal ends it at once. Keys, \
limits and origins stand in the config, under [[server]].


[bold]Exit status[/bold]

0 told to end, and every client got its answer; 1 the engine failed; 2 the config, the address or \
the installation must change; 130 or 143 a signal came before it listened, or twice.""",
    help="Serve races over HTTP, to OpenAI's clients.\n\nChat completions, completions and "
    "responses, streamed or whole, and a websocket. A deadline is never an error: it brings the "
    "best answer there is.",
)
def serve(
    context: typer.Context,
    config: _Config = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="ADDRESS", help="Where to listen.", show_default="127.0.0.1"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            help="0: one that is free.",
            show_default="8000",
        ),
    ] = None,
    uvloop: Annotated[
        bool, typer.Option("--uvloop", help="Run on uvloop, if it is installed.")
    ] = False,
) -> int:
    """Serve races over HTTP."""
    from .commands.serve import ServeCommand, run_serve

    return run_serve(ServeCommand(config, host, port, uvloop), _factory(context))


@app.command(
    epilog="""[bold]Examples[/bold]

[cyan]frontrunner replay aime24.json[/cyan]   every stop rule, 16 branches, no deadline

[cyan]frontrunner replay aime24.json --branches 8,16,32,64 --draws 100 --out results[/cyan]

[cyan]frontrunner replay aime24.json -s majority:max_flip_risk=0.1 -s first_to_m:m=3[/cyan]

[cyan]frontrunner replay aime24.json --deadlines none,4000,8000,16000 --forced on,off[/cyan]

[cyan]frontrunner replay math_rm8.jsonl -b 8 -s best_of_n -s best_of_n:threshold=3.5 --json[/cyan]

[cyan]frontrunner replay aime24.json --step-seconds 0.01 --deadlines 60,120[/cyan]   in seconds


[bold]What is replayed[/bold]

The strategies themselves, over branches that advance at equal speed. A cell is a strategy with a \
number of branches and a deadline; all cells see the same random draws of branches. Intervals are \
95 % over questions, differences paired. The row "clairvoyant" stops at the earliest moment from \
which the leader stays the final majority's answer.


[bold]Exit status[/bold]

0 the table is written; 1 a strategy failed; 2 the input must change; 130 ended by Ctrl-C.""",
    help="Compare strategies on recorded branches, fast and without an engine.\n\nReads traces of "
    "frontrunner solve --trace, Parallel-Probe's files of probed branches, and sets of scored "
    "responses. Times are in tokens of a branch, or with --step-seconds in seconds.",
)
def replay(
    traces: Annotated[
        list[Path], typer.Argument(metavar="TRACES…", help="Files with recorded branches.")
    ],
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME[:KEY=VALUE,…]",
            help="A strategy with parameters; repeat it for more.",
            show_default="all stop rules",
        ),
    ] = None,
    branches: Annotated[
        str, typer.Option("--branches", "-b", metavar="B,…", help="Branches of a race.")
    ] = "16",
    deadlines: Annotated[
        str, typer.Option("--deadlines", "-d", metavar="D,…", help="Deadlines; none: no deadline.")
    ] = "none",
    forced: Annotated[
        str,
        typer.Option("--forced", metavar="on,off", help="With forced answers, without, or both."),
    ] = "on",
    draws: Annotated[
        int, typer.Option("--draws", "-n", metavar="N", help="Random draws for each question.")
    ] = 100,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which draws.")] = 0,
    step_seconds: Annotated[
        float | None,
        typer.Option(
            "--step-seconds",
            metavar="S",
            help="Seconds that one token takes: all times are in seconds then.",
            show_default="times in tokens",
        ),
    ] = None,
    reserve: Annotated[
        float, typer.Option("--reserve", help="From the call time to the deadline.")
    ] = 0.0,
    forced_cost: Annotated[
        float, typer.Option("--forced-cost", help="What forced answers take.")
    ] = 0.0,
    score_delay: Annotated[float, typer.Option("--score-delay", help="What scores take.")] = 0.0,
    lengths: Annotated[
        str,
        typer.Option(
            "--lengths",
            metavar="pooled|none|MEDIAN,P95",
            help="What is known beforehand of how long branches get, where there is a deadline: "
            "the lengths of all other questions, nothing, or quantiles in tokens.",
        ),
    ] = "pooled",
    baseline: Annotated[
        str,
        typer.Option("--baseline", metavar="STRATEGY", help="What the others are compared with."),
    ] = "majority:stop=none",
    processes: Annotated[
        int | None,
        typer.Option("--processes", metavar="N", min=1, help="At most.", show_default="all cores"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="A folder for the table, a CSV file and plots.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Each cell as a line of JSON.")] = False,
) -> int:
    """Compare strategies on recorded branches."""
    from .commands.replay import ReplayCommand, run_replay

    return run_replay(
        ReplayCommand(
            traces=traces,
            strategies=strategy or [],
            branches=branches,
            deadlines=deadlines,
            forced=forced,
            draws=draws,
            seed=seed,
            step_seconds=step_seconds,
            reserve=reserve,
            forced_cost=forced_cost,
            score_delay=score_delay,
            lengths=lengths,
            baseline=baseline,
            processes=processes,
            out=out,
            json=json,
        )
    )


@app.command(
    epilog="""[bold]Examples[/bold]

[cyan]frontrunner calibrate math_rm8.jsonl --precision 0.9[/cyan]

[cyan]frontrunner calibrate math_rm8.jsonl --precision 0.95 --bound none[/cyan]   with few \
questions

[cyan]frontrunner calibrate races.ndjson --precision 0.95 --json | jq .held_out.precision[/cyan]

To record scored traces and use what they say:

[cyan]frontrunner solve -f questions.jsonl -c my-engine.toml --strategy best_of_n --trace \
races.ndjson[/cyan]

[cyan]frontrunner calibrate races.ndjson --precision 0.95 > threshold.toml[/cyan]   lines for \
my-engine.toml


[bold]What is fitted[/bold]

best_of_n takes the first branch to arrive whose score reaches the threshold. Precision is the \
share of questions decided so that are decided rightly; each question counts once. The lowest \
threshold is chosen whose precision, smoothed and with its lower confidence bound, is as asked \
for. That is done on a part of the questions; the others show what it is worth. It holds for races \
of as many branches as were recorded.


[bold]Exit status[/bold]

0 there is a threshold; 1 no threshold is that precise, and the closest one is shown; 2 the input \
must change; 130 ended by Ctrl-C.""",
    help="Fit the reward threshold of best_of_n for a target precision.\n\nReads traces of "
    "frontrunner solve --trace with scores, and sets of scored responses, and prints the lines for "
    "a config.",
)
def calibrate(
    traces: Annotated[
        list[Path], typer.Argument(metavar="TRACES…", help="Files with scored branches.")
    ],
    precision: Annotated[
        float,
        typer.Option(
            "--precision", metavar="P", help="Share of the early decisions that shall be right."
        ),
    ],
    confidence: Annotated[
        float,
        typer.Option("--confidence", metavar="C", help="Of the lower bound of the precision."),
    ] = 0.9,
    bound: Annotated[
        str,
        typer.Option(
            "--bound",
            metavar="wilson|none",
            help="What must reach the precision: its lower bound, or the precision itself.",
        ),
    ] = "wilson",
    holdout: Annotated[
        float,
        typer.Option(
            "--holdout", metavar="SHARE", help="Of the questions, to check on and not to fit on."
        ),
    ] = 0.5,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Which questions are held out.")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="All figures as one JSON object.")] = False,
) -> int:
    """Fit a reward threshold to scored traces."""
    from .commands.calibrate import CalibrateCommand, run_calibrate

    return run_calibrate(
        CalibrateCommand(
            traces=traces,
            precision=precision,
            bound=bound,
            confidence=confidence,
            holdout=holdout,
            seed=seed,
            json=json,
        )
    )


planning.register(app, lambda context: _factory(context))


def run_app(argv: Sequence[str] | None, make_runtime: "RuntimeFactory | None") -> int:
    """Run the command line; every way in which a command can end becomes an exit status here."""
    if sys.stderr is None:  # closed, as by 2>&-: then nobody hears, but all else goes on
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal with an old character set shows question marks, not a traceback.
            stream.reconfigure(errors="replace")
    try:
        return int(app(argv, standalone_mode=False, obj=make_runtime, prog_name="frontrunner") or 0)
    except FrontrunnerError as error:
        complain(error)
        return status_of(error)
    except _UsageError as error:
        complain(error.format_message())
        return ExitStatus.BAD_INPUT
    except (OutputClosed, BrokenPipeError):
        silence_output()
        return ExitStatus.OUTPUT_CLOSED
    except Interrupted as error:
        return error.status
    except (KeyboardInterrupt, typer.Abort):  # before an event loop took the signals over
        return 128 + SIGINT


def _factory(context: typer.Context) -> "RuntimeFactory":
    return context.obj or _configured


def _configured(settings: "Settings") -> "Runtime":
    from ..engines.vllm.engine import check_model_folder
    from ..runtime import Runtime

    if settings.engine.kind == "vllm":
        check_model_folder(settings.engine)  # at once, and not beside whatever else starts
    return Runtime.from_config(settings)
