"""``frontrunner demo``: races on built-in problems whose answers are known."""

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from frontrunner.strategies.protocol import BranchStatus

from ...answers import Equivalence
from ...config import demo_config_path
from ...demo.problems import LEVELS, hard_problems
from ...demo.problems import problems as generated
from ...runtime import Runtime
from ..common.command_races import Outcome, RaceOptions, load_settings, run_race
from ..common.console import plain_lines
from ..common.engine_startup import RuntimeFactory, started
from ..common.output import Output, is_terminal, standard_output
from ..common.printable import one_line
from ..common.questions import Asked
from ..common.running import ExitStatus, run
from ..display.displays import PlainDisplay
from ..display.live_display import LiveDisplay
from ..display.ndjson import json_line
from ..options.demo import DemoCommand

#: Of the table in a pipe or a file.
_PLAIN_WIDTH = 80
_NEXT: Final = """\
Next, ask a question yourself (the demo model knows problems like this one):

  {program} solve "{question}" --deadline {deadline:g}{option}

Or from Python, in a file of its own:

  import anyio, frontrunner
  async def main():
      async with frontrunner.Runtime.from_config("{config}") as runtime:
          print((await runtime.solve({literal}, deadline={deadline:g})).answer)
  if __name__ == "__main__": anyio.run(main)
"""


def run_demo(command: DemoCommand, make_runtime: RuntimeFactory) -> int:
    """Race built-in problems and return the exit status.

    Raises:
        FrontrunnerError: before anything was raced.
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came.
    """
    settings = load_settings(command.config, command.sets)
    options = RaceOptions(command.deadline, command.branches, command.seed)
    options.check(settings)
    with ExitStack() as stack:
        output = None if is_terminal() else stack.enter_context(standard_output())
        return run(lambda: _demo(command, options, make_runtime(settings), output))


async def _demo(
    command: DemoCommand, options: RaceOptions, runtime: Runtime, output: Output | None
) -> int:
    seed, count, config = command.seed, command.count, command.config
    # The split that nothing was trained on, and that is not kept for reported numbers.
    problems = hard_problems("select", count, seed=seed)
    console = Console(highlight=False)
    live = LiveDisplay(console, count, slower=command.slower)
    display = PlainDisplay(output, count) if output else live
    outcomes: list[Outcome] = []
    async with started(runtime, show=True):
        for index, problem in enumerate(problems):
            asked = Asked(problem.question, str(problem.answer))
            own = replace(options, seed=seed + index)
            outcomes.append(await run_race(runtime, index, asked, own, display, Equivalence(None)))
    question = next(generated("select", min(LEVELS), seed=seed)).question
    farewell = _NEXT.format(
        program=_program(),
        question=question,
        literal=json_line(question).decode().strip(),
        deadline=outcomes[0].result.deadline,
        option=f" --config {config}" if config else "",
        config=config or demo_config_path(),
    )
    if output is None:
        console.print(_table(outcomes), _totals(outcomes), "", sep="\n")
        console.print(farewell, markup=False, soft_wrap=True)
    else:
        shown = plain_lines(_table(outcomes), _totals(outcomes), "", farewell, width=_PLAIN_WIDTH)
        await output.write("".join(f"{line}\n" for line in shown).encode())
    in_time = all(outcome.in_time for outcome in outcomes)
    return ExitStatus.DONE if in_time else ExitStatus.FAILED


def _program() -> str:
    """How to call this again: a newcomer's virtual environment is on no path yet."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "frontrunner" and not which(called.name) else "frontrunner"


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("race", "answer", "right", "called", "cut", "time", "in time"):
        right = name in ("race", "answer", "cut", "time")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for outcome in outcomes:
        result = outcome.result
        table.add_row(
            str(outcome.index + 1),
            Text(one_line(result.answer or "none")),
            _mark(outcome.correct is True) + Text(f" {outcome.asked.answer}", "bright_black"),
            result.stop_reason.replace("_", " "),
            f"{result.counted(BranchStatus.CANCELLED)} of {len(result.branches)}",
            f"{result.elapsed:.2f} s",
            _mark(outcome.in_time) + Text(f" {result.deadline:g} s", "bright_black"),
        )
    return table


def _totals(outcomes: list[Outcome]) -> str:
    results = [outcome.result for outcome in outcomes]
    right = sum(outcome.correct is True for outcome in outcomes)
    return (
        f"{sum(o.in_time for o in outcomes)} of {len(outcomes)} in time, {right} right, "
        f"{sum(r.elapsed for r in results):.1f} s of {sum(r.deadline for r in results):g} s used.\n"
        f"{sum(r.tokens_generated for r in results):,} tokens generated, about "
        f"{sum(r.tokens_saved for r in results):,} saved by cutting branches."
    )


def _mark(good: bool) -> Text:
    return Text("✓", "green") if good else Text("✗", "red")
