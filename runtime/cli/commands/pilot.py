"""``frontrunner pilot``: whole branches of questions with known answers, to plan by."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from frontrunner.strategies.protocol import BranchStatus

from ...answers import Equivalence, WorkerPool
from ...config import DEMO_MODELS, Settings
from ...errors import BadRequest
from ...events.types import RaceDecided
from ..common.command_races import Display, Outcome, RaceOptions, load_settings, run_races
from ..common.console import progress_bar
from ..common.engine_startup import RuntimeFactory, started
from ..common.output import Output
from ..common.questions import Asked, read_file
from ..common.running import ExitStatus, run, warn
from ..common.trace_recording import TracingDisplay, trace_file, whole_lines
from ..options.pilot import PilotCommand


def run_pilot(command: PilotCommand, make_runtime: RuntimeFactory) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: before anything was raced.
        Interrupted: a signal came; the races that have ended are in the file.
    """
    settings = load_settings(command.config, command.sets)
    options = _options(command, settings)
    options.check(settings)
    questions = _questions(command, settings)
    recorded = _recorded(command.out)
    left = [asked for asked in questions if asked.text not in recorded]
    if len(left) < len(questions):
        print(f"{len(questions) - len(left)} questions are in {command.out}", file=sys.stderr)
    if not left:
        return ExitStatus.DONE
    with trace_file(command.out) as trace:
        return run(lambda: _pilot(command, settings, options, left, make_runtime, trace))


def _options(command: PilotCommand, settings: Settings) -> RaceOptions:
    if command.probe_every < 0:
        raise BadRequest("--probe-every must be at least 0")
    if not command.probe_every:
        waiting: dict[str, Any] = {"stop": "none"}
        if command.logprobs:
            waiting["weight"] = "likelihood"
        return RaceOptions(command.deadline, command.branches, command.seed, "majority", waiting)
    if 2 * command.branches > settings.engine.max_branches:
        raise BadRequest(
            f"probes run beside the branches: {command.branches} branches need "
            f"engine.max_branches of {2 * command.branches}, and it is "
            f"{settings.engine.max_branches} (or record without them: --probe-every 0)"
        )
    parameters: dict[str, Any] = {"every": command.probe_every, "stop": "none", "prune": False}
    if command.logprobs:
        parameters["likelihoods"] = True
    return RaceOptions(command.deadline, command.branches, command.seed, "probe", parameters)


def _questions(command: PilotCommand, settings: Settings) -> list[Asked]:
    if command.file is not None:
        questions = read_file(command.file)
        silent = sum(asked.answer is None for asked in questions)
        if silent:
            raise BadRequest(
                f'{silent} questions of {command.file} have no "answer": a pilot needs to know '
                "what is right"
            )
        return questions[: command.count]
    if settings.engine.model not in DEMO_MODELS:
        raise BadRequest("name a file of questions with answers: --file questions.jsonl")
    from ...demo.problems import hard_problems

    # The split that nothing was trained on, and that is not kept for reported numbers.
    problems = hard_problems("select", command.count, seed=command.seed)
    return [Asked(problem.question, str(problem.answer)) for problem in problems]


def _recorded(out: Path) -> set[str]:
    """The questions in a trace of before; a pilot goes on where it was broken off."""
    if not out.exists():
        return set()
    found: set[str] = set()
    for number, line in enumerate(whole_lines(out.read_bytes()).splitlines(), 1):
        try:
            race: Any = orjson.loads(line)
            found.add(str(race["question"]))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BadRequest(f"{out}, line {number}: not a race of a pilot") from error
    return found


async def _pilot(
    command: PilotCommand,
    settings: Settings,
    options: RaceOptions,
    questions: Sequence[Asked],
    make_runtime: RuntimeFactory,
    trace: Output,
) -> int:
    columns = ("[cyan]races[/cyan]", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with started(make_runtime(settings), show=True) as runtime:
        async with WorkerPool(1) as pool:
            with progress_bar(*columns) as progress:
                shown = _Count(progress, len(questions))
                outcomes, refusals = await run_races(
                    runtime,
                    questions,
                    options,
                    TracingDisplay(shown, trace, probed=command.probe_every > 0),
                    Equivalence(pool),
                    is_over=lambda: runtime.engine.failure is not None,
                )
        failure = runtime.engine.failure
    _report(command, outcomes)
    for error in refusals:
        warn(f"a question was left out: {error}")
    return ExitStatus.FAILED if failure is not None or not outcomes else ExitStatus.DONE


class _Count(Display):
    """Counts races."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._bar = progress.add_task("", total=total)

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        self._progress.advance(self._bar)

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        self._progress.advance(self._bar)


def _report(command: PilotCommand, outcomes: Sequence[Outcome]) -> None:
    branches = [b for o in outcomes for b in o.result.branches]
    ends = (BranchStatus.FINISHED, BranchStatus.TRUNCATED)
    whole = sum(b.status in ends or b.truncated for b in branches)
    right = sum(o.correct is True for o in outcomes)
    print(
        f"{len(outcomes)} races, {whole} of {len(branches)} branches to their end, {right} races "
        f"right by the majority of all; in {command.out}",
        file=sys.stderr,
    )
    if whole < 0.98 * len(branches):
        warn("branches were cut, which makes the others look typical: raise --deadline")
