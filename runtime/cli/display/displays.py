"""Ways to show races: a live view, lines of text, lines of JSON, or the bare answer."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ...errors import BadRequest
from ...events.types import Event, RaceDecided
from ..common.command_races import Display, Outcome
from ..common.output import Output
from ..common.printable import one_line
from ..common.questions import Asked
from ..common.running import complain
from .live import LiveView
from .ndjson import event_line, json_line
from .scoreboard import Scoreboard
from .texts import facts

#: Drawings of the live view a second; chosen, not measured: text is still readable as it runs.
_FRAMES = 8


class NdjsonDisplay(Display):
    """Every event as a line of JSON; the last one of a race has its ``result``."""

    def __init__(self, output: Output, *, several: bool) -> None:
        self._output = output
        self._several = several  # lines say which question they are about

    async def happened(self, index: int, event: Event) -> None:
        if not isinstance(event, RaceDecided):  # which `decided` writes, with what it knows besides
            await self._output.write(event_line(event, **self._of(index)))

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        more: dict[str, object] = self._of(outcome.index)
        if outcome.asked.answer is not None:
            more |= {"expected": outcome.asked.answer, "correct": outcome.correct}
        await self._output.write(event_line(event, **more))

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        line = {"event": "question_refused", **self._of(index), "error": str(error)}
        await self._output.write(json_line(line))

    def _of(self, index: int) -> dict[str, object]:
        return {"question": index} if self._several else {}


class AnswerDisplay(Display):
    """The answers alone, one a line; an empty line where there is none."""

    def __init__(self, output: Output) -> None:
        self._output = output

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        await self._output.line(one_line(outcome.result.answer or ""))

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        await self._output.line()


class PlainDisplay(Display):
    """Lines of text for a pipe or a file: what came out of one race, or a line for each."""

    def __init__(self, output: Output, total: int) -> None:
        self._output = output
        self._total = total

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        if self._total > 1:
            await self._output.line(summary_line(outcome, self._total).plain)
            return
        for name, value in facts(outcome.result):
            await self._output.line(f"{name:<11}{value}")

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        if self._total > 1:
            complain(f"question {index + 1}: {error}")


class LiveDisplay(Display):
    """A live view of each race; then its outcome, in a panel if it was the only one."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._board: Scoreboard | None = None
        self._outcomes: list[Outcome] = []

    @contextmanager
    def race(self, index: int, asked: Asked) -> Iterator[None]:
        board = self._board = Scoreboard(asked.text)
        view = LiveView(board, self._progress(index))
        # Drawn by a thread of Live's own: a terminal that stands still (Ctrl-S) holds back the
        # view, not the race.
        with Live(
            view,
            console=self._console,
            refresh_per_second=_FRAMES,
            transient=self._total > 1,
        ):
            try:
                yield
            finally:
                self._board = None

    async def happened(self, index: int, event: Event) -> None:
        if self._board is not None:
            self._board.take(event)

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        self._outcomes.append(outcome)
        if self._total > 1:
            self._console.print(summary_line(outcome, self._total))
        else:
            self._console.print(answer_panel(outcome))

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        if self._total > 1:
            complain(f"question {index + 1}: {error}")

    def _progress(self, index: int) -> str:
        """``question 3 of 12, 2 in time, 1 of 2 right``"""
        if self._total == 1:
            return ""
        said = f"question {index + 1} of {self._total}"
        if self._outcomes:
            said += f", {sum(o.in_time for o in self._outcomes)} in time"
            judged = [o for o in self._outcomes if o.correct is not None]
            if judged:
                said += f", {sum(o.correct is True for o in judged)} of {len(judged)} right"
        return said


def answer_panel(outcome: Outcome) -> Panel:
    """What came out of a race."""
    result = outcome.result
    (_, answer), *others = facts(result)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bright_black", no_wrap=True)
    grid.add_column(overflow="fold")
    style = "bold green" if result.answer is not None else "bold red"
    grid.add_row("answer", Text(answer, style=style))
    for name, value in others:
        grid.add_row(name, Text(value))
    return Panel(grid, border_style="green" if result.answer is not None else "red")


def summary_line(outcome: Outcome, total: int) -> Text:
    """One race of several in one line."""
    result = outcome.result
    line = Text(f"{outcome.index + 1:>{len(str(total))}}/{total} ", style="bright_black")
    if outcome.correct is not None:
        line.append(*(("✓ ", "green") if outcome.correct else ("✗ ", "red")))
    line.append(one_line(result.answer) if result.answer is not None else "no answer", "bold")
    if outcome.correct is False and outcome.asked.answer is not None:
        line.append(f" (right: {one_line(outcome.asked.answer)})")
    line.append(f"  {result.stop_reason.replace('_', ' ')}")
    line.append(f"  {result.elapsed:.2f} s of {result.deadline:g} s")
    if not outcome.in_time:
        line.append(" late", style="red")
    for note in result.notes:
        line.append(f"  {note.code.replace('_', ' ')}", style="yellow")
    return line


def closing_line(outcomes: list[Outcome], total: int) -> str:
    """All races of a command in one line."""
    answered = sum(o.result.answer is not None for o in outcomes)
    said = [
        f"{total} questions",
        f"{answered} answered",
        f"{sum(o.in_time for o in outcomes)} in time",
    ]
    judged = [o for o in outcomes if o.correct is not None]
    if judged:
        right = sum(o.correct is True for o in judged)
        said.append(f"{right} of {len(judged)} right ({right / len(judged):.0%})")
    saved = sum(o.result.tokens_saved for o in outcomes)
    said.append(f"{sum(o.result.elapsed for o in outcomes):.1f} s, about {saved:,} tokens saved")
    return ", ".join(said)
