"""Races shown as they run, on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import anyio
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ...errors import BadRequest
from ...events.types import Event, RaceDecided
from ..common.command_races import Display, Outcome
from ..common.questions import Asked
from ..common.running import complain
from .displays import summary_parts
from .live import LiveView
from .scoreboard import Scoreboard
from .texts import facts

#: Drawings of the live view a second; chosen, not measured: text is still readable as it runs.
_FRAMES = 8


class LiveDisplay(Display):
    """A live view of each race; then its outcome, in a panel if it was the only one."""

    def __init__(self, console: Console, total: int, *, slower: float = 1.0) -> None:
        """
        Args:
            slower: how many times slower than it ran a race is shown; if it is more than 1, once it
                is over.
        """
        self._console = console
        self._total = total
        self._slower = slower
        self._held: list[Event] = []  # of the race, until it is over and shown slowly
        self._board: Scoreboard | None = None
        self._outcomes: list[Outcome] = []

    @contextmanager
    def race(self, index: int, asked: Asked) -> Iterator[None]:
        board = self._board = Scoreboard(asked.text, lambda: monotonic() / self._slower)
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
                self._held.clear()

    async def happened(self, index: int, event: Event) -> None:
        if self._board is None:
            return
        if self._slower <= 1:
            self._board.take(event)
            return
        self._held.append(event)
        if isinstance(event, RaceDecided):
            shown = 0.0
            for held in self._held:
                await anyio.sleep((held.at - shown) * self._slower)
                shown = held.at
                self._board.take(held)

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        self._outcomes.append(outcome)
        if self._total > 1:
            self._console.print(Text.assemble(*summary_parts(outcome, self._total)))
        else:
            self._console.print(answer_panel(outcome))

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        if self._total > 1:
            complain(f"question {index + 1}: {error}")

    def _progress(self, index: int) -> str:
        """``question 3 of 12, 2 in time, 1 of 2 right``"""
        slowly = f"shown {self._slower:g} times slower than it ran" if self._slower > 1 else ""
        if self._total == 1:
            return slowly
        said = f"question {index + 1} of {self._total}"
        if self._outcomes:
            said += f", {sum(o.in_time for o in self._outcomes)} in time"
            judged = [o for o in self._outcomes if o.correct is not None]
            if judged:
                said += f", {sum(o.correct is True for o in judged)} of {len(judged)} right"
        return f"{said}, {slowly}" if slowly else said


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
