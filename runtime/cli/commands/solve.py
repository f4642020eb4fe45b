"""``frontrunner solve``: race one question, or all those of a file."""

from contextlib import AsyncExitStack, ExitStack

from rich.console import Console

from ...answers import Equivalence, WorkerPool
from ...errors import BadRequest
from ...runtime import Runtime
from ..common.engine_startup import RuntimeFactory, started
from ..common.output import Output, is_terminal, standard_output
from ..common.questions import Asked, read_file, read_question
from ..common.races import Display, Outcome, RaceOptions, load_settings, read_parameters, run_races
from ..common.running import ExitStatus, complain, run
from ..common.tracing import TracingDisplay, trace_file
from ..display.displays import AnswerDisplay, LiveDisplay, NdjsonDisplay, PlainDisplay, closing_line
from ..display.texts import STOP_REASONS
from ..options.solve import SolveCommand


def run_solve(command: SolveCommand, make_runtime: RuntimeFactory) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: before anything was raced.
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came.
    """
    options = RaceOptions(
        command.deadline,
        command.branches,
        command.seed,
        command.strategy,
        read_parameters(command.parameters or []),
    )
    settings = load_settings(command.config, command.sets)
    options.check(settings)
    if command.file is not None and command.question is not None:
        raise BadRequest("give a question or --file, not both")
    if command.file is not None:
        questions = read_file(command.file)
    else:
        questions = [read_question(command.question)]
    with ExitStack() as stack:
        trace = stack.enter_context(trace_file(command.trace)) if command.trace else None
        live = is_terminal() and not command.json and not command.quiet
        output = None if live else stack.enter_context(standard_output())
        return run(
            lambda: _solve(command, options, make_runtime(settings), questions, output, trace),
            uvloop=command.uvloop,
        )


async def _solve(
    command: SolveCommand,
    options: RaceOptions,
    runtime: Runtime,
    questions: list[Asked],
    output: Output | None,
    trace: Output | None,
) -> int:
    several = command.file is not None
    display = _display(command, len(questions), output)
    if trace is not None:
        display = TracingDisplay(display, trace)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(started(runtime, show=not command.quiet))
        judge = any(asked.answer is not None for asked in questions)
        pool = await stack.enter_async_context(WorkerPool(1)) if judge else None
        outcomes, refusals = await run_races(
            runtime, questions, options, display, Equivalence(pool)
        )
        failure = runtime.engine.failure
    if refusals and not several:
        raise refusals[0]
    if several and not command.json and not command.quiet:
        said = closing_line(outcomes, len(questions))
        await output.line(said) if output is not None else print(said)
    if failure is not None and (several or command.quiet):
        complain(failure)
    elif command.quiet and not several and outcomes[0].result.answer is None:
        complain(f"no answer: {STOP_REASONS[outcomes[0].result.stop_reason]}")
    return _status(outcomes, refusals, len(questions))


def _display(command: SolveCommand, total: int, output: Output | None) -> Display:
    if output is None:
        return LiveDisplay(Console(highlight=False), total)
    if command.json:
        return NdjsonDisplay(output, several=command.file is not None)
    if command.quiet:
        return AnswerDisplay(output)
    return PlainDisplay(output, total)


def _status(outcomes: list[Outcome], refusals: list[BadRequest], total: int) -> ExitStatus:
    if refusals:
        return ExitStatus.BAD_INPUT
    answered = sum(outcome.result.answer is not None for outcome in outcomes)
    return ExitStatus.DONE if answered == total else ExitStatus.FAILED
