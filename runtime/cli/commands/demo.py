"""``frontrunner demo``: races on built-in problems whose answers are known."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from io import StringIO
from pathlib import Path
from shutil import which
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from frontrunner.strategies.protocol import BranchStatus

from ...answers import Equivalence
from ...config import Settings, demo_config_path
from ...demo.problems import LEVELS, hard_problems
from ...demo.problems import problems as generated
from ...runtime import Runtime
from ..display.displays import LiveDisplay, PlainDisplay
from ..display.ndjson import json_line
from ..display.output import Output, is_terminal, standard_output
from ..display.texts import one_line
from ..engine_startup import started
from ..questions import Asked
from ..races import Outcome, RaceOptions, load_settings, run_race
from ..running import ExitStatus, run

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


def run_demo(
    options: RaceOptions,
    count: int,
    config: Path | None,
    make_runtime: Callable[[Settings], Runtime],
) -> int:
    """Race ``count`` problems and return the exit status.

    Args:
        options: of the races; its seed also draws the problems.
        count: how many.
        config: None: the shipped one.
        make_runtime: see ``main``.

    Raises:
        FrontrunnerError: before anything was raced.
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came.
    """
    settings = load_settings(config)
    options.check(settings)
    with ExitStack() as stack:
        output = None if is_terminal() else stack.enter_context(standard_output())
        return run(lambda: _demo(options, count, config, make_runtime(settings), output))


async def _demo(
    options: RaceOptions, count: int, config: Path | None, runtime: Runtime, output: Output | None
) -> int:
    seed = options.seed or 0
    # The split that nothing was trained on, and that is not kept for reported numbers.
    problems = hard_problems("select", count, seed=seed)
    console = Console(highlight=False)
    display = PlainDisplay(output, count) if output else LiveDisplay(console, count)
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
        await output.write(_plain(_table(outcomes), _totals(outcomes), "", farewell))
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


def _plain(*parts: RenderableType) -> bytes:
    """What a terminal would show, without colours."""
    text = StringIO()
    console = Console(file=text, width=_PLAIN_WIDTH, color_system=None, highlight=False)
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()).encode()
