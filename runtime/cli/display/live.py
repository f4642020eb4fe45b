"""The live view of a race, for any number of branches on any size of terminal.

From top to bottom: the question, how many branches are where, the branches (a row each if there
is room for that, else a cell, else a sign), the votes, the time. Its height never changes during
a race, so that nothing jumps.
"""

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from frontrunner.strategies.protocol import BranchStatus

from ...events.fold import BranchState, RaceState
from ..common.printable import one_line, printable
from .scoreboard import Scoreboard
from .texts import STATUSES, STOP_REASONS, why_cut

_SIGNS = {
    BranchStatus.RUNNING: ("●", "cyan"),
    BranchStatus.FORCING: ("◔", "yellow"),
    BranchStatus.FINISHED: ("✓", "green"),
    BranchStatus.TRUNCATED: ("◇", "yellow"),
    BranchStatus.FORCED: ("◆", "yellow"),
    BranchStatus.CANCELLED: ("×", "bright_black"),
    BranchStatus.FAILED: ("!", "red"),
}
_CELL = 12  # columns, the gap included
#: Characters of a branch's newest text that are looked at; more than the widest terminal shows.
_TAIL = 300
_WIDE = 60  # columns from which a row has room for words


class LiveView:
    """Renders a scoreboard as it is at that moment."""

    def __init__(self, board: Scoreboard, title: str = "") -> None:
        self._board = board
        self._title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, console.size.height
        for line in self.lines(console, width, height):
            line.no_wrap, line.overflow = True, "ellipsis"
            line.truncate(width, overflow="ellipsis")
            yield line

    def lines(self, console: Console, width: int, height: int) -> Iterator[Text]:
        """The view's lines; one less than ``height``, because the cursor stands below them."""
        board = self._board
        budget = max(6, height - 1)
        of_question = min(3, max(1, budget // 8))
        of_votes = min(4, max(1, budget // 6))
        room = budget - of_question - of_votes - 2
        yield from self._question(console, width, of_question)
        yield self._status(width)
        branches = list(board.race.branches.values())
        count = max(board.race.max_branches, len(branches))
        yield from _branches(branches, count, width, room)
        yield from self._votes(width, of_votes)
        yield self._time(width)

    def _question(self, console: Console, width: int, count: int) -> Iterator[Text]:
        text = Text(one_line(self._board.question), style="bold")
        lines = text.wrap(console, width, tab_size=1)[: count + 1]
        if len(lines) > count:
            clipped = lines[count - 1]
            clipped.append(" …" if cell_len(clipped.plain) <= width - 2 else "")
            clipped.truncate(width - 1)
            if not clipped.plain.endswith("…"):
                clipped.append("…")
        for position in range(count):
            yield lines[position] if position < len(lines) else Text()

    def _status(self, width: int) -> Text:
        race = self._board.race
        parts = [Text(self._title, "default")] if self._title else []
        for status, (_, style) in _SIGNS.items():
            if count := race.counted(status):
                parts.append(Text(f"{count} {STATUSES[status]}", style))
        if race.result is not None:
            parts.append(Text(STOP_REASONS[race.result.stop_reason].partition(":")[0], "bold"))
        elif race.called_at is not None:
            parts.append(Text("call time: asking for answers", "yellow"))
        line = Text(style="bright_black")
        for part in parts:
            line.append("── ").append_text(part).append(" ")
        return line.append("─" * max(0, width - cell_len(line.plain)))

    def _votes(self, width: int, count: int) -> Iterator[Text]:
        race = self._board.race
        votes, forced = race.votes, race.forced_votes
        ranked = race.ranking()
        shown = ranked if len(ranked) <= count else ranked[: max(1, count - 1)]
        label = min(width // 4, max((cell_len(one_line(a)) for a in shown), default=0))
        most = max((votes.get(a, 0) + forced.get(a, 0) for a in shown), default=0)
        scale = max(1, width - label - 27) / max(1, race.max_branches, most)
        lines = [_bar(race, answer, label, scale) for answer in shown]
        if len(ranked) > count > 1:
            lines.append(Text(f"and {len(ranked) - len(shown)} other answers", "bright_black"))
        elif len(ranked) > count:
            lines[0].append(f", {len(ranked) - 1} other answers", "bright_black")
        elif not ranked:
            lines.append(Text("none yet", "bright_black"))
        for position in range(count):
            line = Text("votes " if position == 0 else " " * 6, "bright_black")
            yield line.append_text(lines[position]) if position < len(lines) else line

    def _time(self, width: int) -> Text:
        board = self._board
        line = Text("time  ", style="bright_black")
        deadline = board.race.deadline
        if deadline is None:
            return line
        elapsed = board.elapsed()
        if board.race.result is None:
            said = f" {max(0.0, deadline - elapsed):.1f} s left of {deadline:g} s"
        else:
            said = f" {elapsed:.2f} s of {deadline:g} s"
        bar = max(1, width - 6 - max(len(said), 22))
        used = min(bar, round(bar * elapsed / deadline))
        late = elapsed > 0.8 * deadline
        line.append("━" * used, style="yellow" if late else "cyan")
        return line.append("─" * (bar - used), style="bright_black").append(said)


def _branches(branches: list[BranchState], count: int, width: int, room: int) -> Iterator[Text]:
    """``room`` lines with all branches, as detailed as they fit."""
    per_line = max(1, (width + 1) // _CELL)
    if count <= room:
        label = min(
            width // 5,
            max((cell_len(one_line(branch.answer or "")) for branch in branches), default=0),
        )
        lines = [_row(branch, width, label) for branch in branches]
    elif count <= room * per_line:
        lines = [_joined(branches[i : i + per_line]) for i in range(0, len(branches), per_line)]
    else:
        lines = [_signs(branches[i : i + width]) for i in range(0, len(branches), width)]
        if len(lines) > room:
            lines = [*lines[: room - 1], Text(f"and {len(branches) - (room - 1) * width} branches")]
    if count > room > len(lines) + 1:
        # Where each has only a cell, some of those that still reason are seen at it.
        active = [branch for branch in branches if branch.status.active]
        lines += [Text(), *(_row(branch, width, 0) for branch in active[: room - len(lines) - 1])]
    yield from lines
    yield from (Text() for _ in range(room - len(lines)))


def _bar(race: RaceState, answer: str, label: int, scale: float) -> Text:
    """An answer with its votes, and its weight where that is another number; ``scale`` is the
    length of a vote in columns."""
    finished, forced = race.votes.get(answer, 0), race.forced_votes.get(answer, 0)
    style = "bold green" if answer == race.leader else "green"
    line = Text(_fit(one_line(answer), label), style).append(" ")
    line.append("█" * round(finished * scale), style)
    line.append("░" * round(forced * scale), "yellow")
    line.append(f" {finished}", style)
    if forced:
        line.append(f" + {forced} forced", "yellow")
    counted = finished or forced
    weight = race.weights.get(answer, counted)
    return line if weight == counted else line.append(f", weighs {weight:.2f}", style)


def _row(branch: BranchState, width: int, label: int) -> Text:
    sign, style = _SIGNS[branch.status]
    line = Text(f"{branch.index:>3} ", style="bright_black")
    line.append(f"{sign} ", style=style)
    if width >= _WIDE:
        line.append(f"{STATUSES[branch.status]:<9}", style=style)
    line.append(f"{branch.tokens:>5} ", style="bright_black")
    if label:
        line.append(_fit(one_line(branch.answer or ""), label), style=f"bold {style}").append(" ")
    rest = width - cell_len(line.plain)
    if branch.reason is not None:
        line.append(why_cut(branch.reason), style=style)
    else:
        words = _last_cells(printable(branch.tail(_TAIL)), rest)
        line.append(words, style="" if branch.status.active else "dim")
    return line


def _joined(branches: list[BranchState]) -> Text:
    """A line of cells: index, sign, and the answer or else the number of tokens."""
    line = Text()
    for branch in branches:
        sign, style = _SIGNS[branch.status]
        line.append(f"{branch.index:>3}", style="bright_black").append(sign, style=style)
        value = branch.tokens if branch.answer is None else one_line(branch.answer)
        bold = "" if branch.answer is None else "bold "
        line.append(_fit(str(value), _CELL - 5), style=f"{bold}{style}").append(" ")
    return line


def _signs(branches: list[BranchState]) -> Text:
    line = Text()
    for branch in branches:
        sign, style = _SIGNS[branch.status]
        line.append(sign, style=style)
    return line


def _fit(text: str, width: int) -> str:
    """``text`` in exactly ``width`` columns."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(0, width - 1)) + "…"


def _last_cells(text: str, width: int) -> str:
    """The end of ``text``, as much as ``width`` columns hold."""
    if cell_len(text) <= width:
        return text
    taken, used = len(text), 1
    while taken > 0 and used + cell_len(text[taken - 1]) <= width:
        taken -= 1
        used += cell_len(text[taken])
    return "…" + text[taken:]
