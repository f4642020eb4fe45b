"""The command line: which commands there are, and how each way of ending becomes a status.

A command's options and help texts are in a module of ``options``, what it does in one of
``commands``, which is imported only when the command runs.
"""

import os
import sys
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature, signature
from io import TextIOWrapper
from signal import SIGINT
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from frontrunner import __version__

from ..errors import FrontrunnerError
from .common.output import OutputClosed, silence_output
from .common.running import ExitStatus, Interrupted, complain, status_of
from .options import (
    bench,
    calibrate,
    config,
    convert,
    demo,
    doctor,
    init,
    pilot,
    plan,
    profile,
    replay,
    serve,
    soak,
    solve,
    strategies,
)

if TYPE_CHECKING:
    from ..config import Settings
    from ..runtime import Runtime
    from .common.engine_startup import RuntimeFactory

# typer is built on click, or brings its own copy of it: this is its base class of usage errors.
_UsageError: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="frontrunner",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Options = TypeVar("Options")


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
    "machine, [cyan]frontrunner doctor[/cyan] says what is missing if that does not work, "
    "[cyan]frontrunner init MODEL[/cyan] writes a config for a model of yours, and "
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


def _command(
    module: Any, options: type[Options]
) -> Callable[[Callable[[Options, "RuntimeFactory"], int]], Callable[..., int]]:
    """Make a function the command that is named like ``module``.

    Args:
        module: of ``options``: its ``HELP`` and ``EPILOG`` are shown.
        options: a dataclass, each field of which is an option. typer wants a parameter for each:
            here they become the function's, which then gets them as one value.
    """

    def register(body: Callable[[Options, "RuntimeFactory"], int]) -> Callable[..., int]:
        def run(context: typer.Context, **given: Any) -> int:
            return body(options(**given), context.obj or _configured)

        context = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters = [context, *signature(options).parameters.values()]
        run.__signature__ = Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        name = module.__name__.rpartition(".")[2]
        return app.command(name, help=module.HELP, epilog=module.EPILOG)(run)

    return register


@_command(solve, solve.SolveCommand)
def _solve(command: solve.SolveCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.solve import run_solve

    # A runtime that was handed over is what is raced on, whatever else runs on this machine.
    return run_solve(command, None if make_runtime is _configured else make_runtime)


@_command(demo, demo.DemoCommand)
def _demo(command: demo.DemoCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.demo import run_demo

    return run_demo(command, make_runtime)


@_command(doctor, doctor.DoctorCommand)
def _doctor(command: doctor.DoctorCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.doctor import run_doctor

    return run_doctor(command, make_runtime)


@_command(init, init.InitCommand)
def _init(command: init.InitCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.init import run_init

    return run_init(command, make_runtime)


@_command(serve, serve.ServeCommand)
def _serve(command: serve.ServeCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.serve import run_serve

    return run_serve(command, make_runtime)


@_command(config, config.ConfigCommand)
def _config(command: config.ConfigCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.config import run_config

    return run_config(command)


@_command(replay, replay.ReplayCommand)
def _replay(command: replay.ReplayCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.replay import run_replay

    return run_replay(command)


@_command(strategies, strategies.StrategiesCommand)
def _strategies(command: strategies.StrategiesCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.strategies import run_strategies

    return run_strategies(command)


@_command(convert, convert.ConvertCommand)
def _convert(command: convert.ConvertCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.convert import run_convert

    return run_convert(command)


@_command(bench, bench.BenchCommand)
def _bench(command: bench.BenchCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.bench import run_bench

    return run_bench(command, make_runtime)


@_command(calibrate, calibrate.CalibrateCommand)
def _calibrate(command: calibrate.CalibrateCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.calibrate import run_calibrate

    return run_calibrate(command)


@_command(profile, profile.ProfileCommand)
def _profile(command: profile.ProfileCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.profile import run_profile

    return run_profile(command, make_runtime)


@_command(pilot, pilot.PilotCommand)
def _pilot(command: pilot.PilotCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.pilot import run_pilot

    return run_pilot(command, make_runtime)


@_command(soak, soak.SoakCommand)
def _soak(command: soak.SoakCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.soak import run_soak

    return run_soak(command, make_runtime)


@_command(plan, plan.PlanCommand)
def _plan(command: plan.PlanCommand, make_runtime: "RuntimeFactory") -> int:
    from .commands.plan import run_plan

    return run_plan(command)


def run_app(argv: Sequence[str] | None, make_runtime: "RuntimeFactory | None") -> int:
    """Run the command line; every way in which a command can end becomes an exit status here."""
    if sys.stderr is None:  # closed, as by 2>&-: then nobody hears, but all else goes on
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal with an old character set shows question marks, not a traceback.
            stream.reconfigure(errors="replace")
    if os.getcwd() not in sys.path:
        # For a strategy of one's own, named as module:Class; last, so that it hides nothing.
        sys.path.append(os.getcwd())
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


def _configured(settings: "Settings") -> "Runtime":
    from .common.engine_startup import configured

    return configured(settings)
