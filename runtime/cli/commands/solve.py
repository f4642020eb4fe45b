"""``frontrunner solve``: race one question, or all those of a file.

A server that runs already is asked where there is one, and then none of what an engine needs is
imported: the race is all that the answer takes.
"""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frontrunner._plugins import is_reference

from ...common.config_identity import ConfigIdentity
from ...errors import BadRequest
from ..common.command_races import (
    Display,
    Outcome,
    RaceOptions,
    Races,
    load_settings,
    read_parameters,
    run_races,
)
from ..common.output import Output, is_terminal, standard_output
from ..common.questions import Asked, read_file, read_question
from ..common.running import ExitStatus, Interrupted, complain, run
from ..common.server_client import ServerClient, local_server, own_key
from ..display.best_so_far import BestSoFar
from ..display.texts import STOP_REASONS
from ..options.solve import SolveCommand

if TYPE_CHECKING:
    from ...answers import Equivalence
    from ..common.engine_startup import RuntimeFactory

#: Makes who races, inside a stack that ends it: the races, whether no further one is to begin, and
#: why.
_Begin = Callable[[AsyncExitStack], Awaitable["_Racing"]]


@dataclass(frozen=True, slots=True)
class _Racing:
    races: Races
    failure: Callable[[], Exception | None] = lambda: None
    """Why the engine died; None: it did not."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be done, checked as far as it can be."""

    command: SolveCommand
    options: RaceOptions
    questions: list[Asked]
    several: bool


def run_solve(command: SolveCommand, make_runtime: "RuntimeFactory | None") -> int:
    """Run the command and return its exit status.

    Args:
        make_runtime: makes the runtime to race on; None: the one of the config, unless a server
            of it runs already.

    Raises:
        FrontrunnerError: before anything was raced.
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came.
    """
    parameters = read_parameters(command.parameters or [])
    options = RaceOptions(
        command.deadline, command.branches, command.seed, command.strategy, parameters
    )
    if command.url is not None and (command.config is not None or command.sets):
        raise BadRequest("--url asks a server with its own config: leave out --config and --set")
    if command.url is not None and command.own_engine:
        raise BadRequest("--url asks a server, --own-engine starts an engine: give one of them")
    begin = _server(command, options, make_runtime) or _engine(command, options, make_runtime)
    asked = _Asked(command, options, _questions(command), command.file is not None)
    best = BestSoFar()
    with ExitStack() as stack:
        trace = None
        if command.trace:
            from ..common.trace_recording import trace_file

            trace = stack.enter_context(trace_file(command.trace))
        live = is_terminal() and not command.json and not command.quiet
        output = None if live else stack.enter_context(standard_output())
        try:
            return run(lambda: _solve(asked, begin, output, trace, best), uvloop=command.uvloop)
        except Interrupted:
            if not command.json and (said := best.said()):
                print(said, file=sys.stderr)
            raise


def _questions(command: SolveCommand) -> list[Asked]:
    if command.file is not None and command.question is not None:
        raise BadRequest("give a question or --file, not both")
    if command.file is not None:
        if command.answer is not None:
            raise BadRequest(
                '--answer is of one question: in a .jsonl file each has its own as "answer"'
            )
        return read_file(command.file)
    return [replace(read_question(command.question), answer=command.answer)]


# ── who races ─────────────────────────────────────────────────────────────────────────────────


def _server(
    command: SolveCommand, options: RaceOptions, make_runtime: "RuntimeFactory | None"
) -> _Begin | None:
    """The server that is named, or one on this machine that runs on the same config; None: there
    is none, or it cannot be asked this."""
    if command.url is not None:
        named = ServerClient(command.url, own_key())

        async def ask(stack: AsyncExitStack) -> _Racing:
            return _Racing(named)

        return ask
    own = [options.parameters.get(key) for key in ("stop", "weight")]
    references = [options.strategy, *own]
    if make_runtime is not None or command.own_engine:
        return None
    if any(isinstance(name, str) and is_reference(name) for name in references):
        return None  # a request may not name a module
    identity = ConfigIdentity.read(command.config, command.sets or ())
    found = local_server(identity) if identity is not None else None
    if found is None:
        return None
    client, ready = found

    async def wait(stack: AsyncExitStack) -> _Racing:
        if not ready:
            print(f"waiting for the server at {client.url}, which loads", file=sys.stderr)
            await client.wait_until_ready()
        return _Racing(client)

    return wait


def _engine(
    command: SolveCommand, options: RaceOptions, make_runtime: "RuntimeFactory | None"
) -> _Begin:
    """An engine of this command's own.

    Raises:
        FrontrunnerError: the config or the options are wrong.
    """
    from ..common.engine_startup import configured, started

    settings = load_settings(command.config, command.sets)
    options.check(settings, own_rewards=make_runtime is not None)
    make = make_runtime or configured

    async def start(stack: AsyncExitStack) -> _Racing:
        runtime = make(settings)
        await stack.enter_async_context(started(runtime, show=not command.quiet))
        return _Racing(runtime, lambda: runtime.engine.failure)

    return start


# ── racing ────────────────────────────────────────────────────────────────────────────────────


async def _solve(
    asked: _Asked, begin: _Begin, output: Output | None, trace: Output | None, best: BestSoFar
) -> int:
    command, questions = asked.command, asked.questions
    display = best.beside(_display(command, len(questions), output))
    if trace is not None:
        from ..common.trace_recording import TracingDisplay

        display = TracingDisplay(display, trace)
    async with AsyncExitStack() as stack:
        racing = await begin(stack)
        equivalence = await _judge(questions, stack)
        outcomes, refusals = await run_races(
            racing.races,
            questions,
            asked.options,
            display,
            equivalence,
            is_over=lambda: racing.failure() is not None,
        )
        failure = racing.failure()
    if refusals and not asked.several:
        raise refusals[0]
    if asked.several and not command.json and not command.quiet:
        from ..display.displays import closing_line

        said = closing_line(outcomes, len(questions))
        await output.line(said) if output is not None else print(said)
    if failure is not None and (asked.several or command.quiet):
        complain(failure)
    elif command.quiet and not asked.several and outcomes[0].result.answer is None:
        complain(f"no answer: {STOP_REASONS[outcomes[0].result.stop_reason]}")
    return _status(outcomes, refusals, len(questions))


async def _judge(questions: list[Asked], stack: AsyncExitStack) -> "Equivalence | None":
    """Says whether answers are right, where some are known."""
    if all(asked.answer is None for asked in questions):
        return None
    from ...answers import Equivalence, WorkerPool

    return Equivalence(await stack.enter_async_context(WorkerPool(1)))


def _display(command: SolveCommand, total: int, output: Output | None) -> Display:
    from ..display.displays import AnswerDisplay, NdjsonDisplay, PlainDisplay

    if output is None:
        from rich.console import Console

        from ..display.live_display import LiveDisplay

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
