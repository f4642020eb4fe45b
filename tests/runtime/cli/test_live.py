"""The live view fits any terminal, and its height stays."""

from collections.abc import Callable
from io import StringIO
from itertools import product
from typing import Any

import anyio
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live

from frontrunner.runtime import events
from frontrunner.runtime.cli.common.command_races import Outcome
from frontrunner.runtime.cli.common.questions import Asked
from frontrunner.runtime.cli.display.live import LiveView
from frontrunner.runtime.cli.display.live_display import LiveDisplay, answer_panel
from frontrunner.runtime.cli.display.scoreboard import Scoreboard
from frontrunner.runtime.result import BranchReport, Result
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ..events.recorded_races import recorded

SIZES = [(80, 24), (40, 12), (200, 60), (20, 5)]
QUESTION = "Nora has 120 shells and [bold]markup[/bold]. " * 8 + "漢字 " * 30
HOSTILE = "so\n 漢字 \x1b[2J\u202e 84 / 2 = 42\r\n"


def history(branches: int) -> list[events.Event]:
    """A race in which everything happens that can."""
    told: list[events.Event] = [events.RaceStarted(0.0, "r", 5.0, branches, 12)]
    told += [events.BranchStarted(0.0, i, i) for i in range(branches)]
    for i in range(branches):
        told += [events.BranchProgressed(1.0, i, HOSTILE, 9, False)] * (i % 5)
    ended = [
        events.BranchEnded(2.0, 0, BranchStatus.FINISHED, 120, "4\x1b[31m2" + "0" * 40),
        events.BranchEnded(2.1, 1, BranchStatus.FAILED, 10, None, "vLLM lost it: \x1b[2J"),
        events.BranchForcing(2.2, 2, 50),
        events.BranchEnded(2.3, 2, BranchStatus.FORCED, 55, "7"),
        events.BranchEnded(2.4, 3, BranchStatus.CANCELLED, 33, None, "clinched"),
    ]
    told += [e for e in ended if e.branch < branches]
    votes = {"4\x1b[31m2" + "0" * 40: 1, "38": branches, "41/3": 2, "5": 1, "6": 1}
    forced = {"7": 1, "38": 2}
    told.append(events.VoteChanged(2.5, votes, forced, "38"))
    told.append(events.CallTimeReached(4.5, 0.5))
    report = BranchReport(0, BranchStatus.FINISHED, 120, 0, "38", False, 2.0, "…")
    result = Result(
        "r", "38", "…", 0.9, StopReason.DEADLINE, 4.9, 5.0, votes, forced, (report,) * branches
    )
    told.append(events.RaceDecided(4.9, result))
    return told


def console(width: int, height: int) -> Console:
    return Console(
        file=StringIO(), force_terminal=True, color_system="256", width=width, height=height
    )


@pytest.mark.parametrize(
    ("size", "branches"), [*product(SIZES, [1, 2, 8, 16, 64]), ((40, 12), 300)]
)
def test_it_fits_at_every_moment(size: tuple[int, int], branches: int) -> None:
    now = 0.0
    board = Scoreboard(QUESTION, clock=lambda: now)
    view, screen = LiveView(board, "question 3 of 12, 2 in time"), console(*size)
    heights: set[int] = set()
    for event in history(branches):
        now = event.at
        board.take(event)
        lines = screen.render_lines(view, pad=False)
        text = ["".join(segment.text for segment in line) for line in lines]
        assert all(cell_len(line) <= size[0] for line in text)
        assert not any({"\x1b", "\u202e", "\n"} & set(line) for line in text)
        heights.add(len(lines))
    (height,) = heights
    assert height <= max(6, size[1] - 1)


@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("branches", [1, 8, 64])
def test_it_draws_on_a_terminal(size: tuple[int, int], branches: int) -> None:
    board, screen = Scoreboard(QUESTION), console(*size)
    with Live(LiveView(board), console=screen, auto_refresh=False) as live:
        for event in history(branches):
            board.take(event)
            live.refresh()
    file: Any = screen.file
    assert "time" in file.getvalue()


def drawn(branches: int, size: tuple[int, int] = (80, 24), until: float = 9.0) -> str:
    now = 0.0
    board = Scoreboard("How many?", clock=lambda: now)
    for event in history(branches):
        if event.at <= until:
            now = event.at
            board.take(event)
    screen = console(*size)
    lines = screen.render_lines(LiveView(board), pad=False)
    return "\n".join("".join(s.text for s in line) for line in lines)


def test_every_branch_has_a_row_if_there_is_room() -> None:
    text = drawn(8, until=2.4)
    assert "  0 ✓ finished" in text
    assert "  1 ! lost" in text
    assert "vLLM lost it" in text
    assert "  2 ◆ forced" in text
    assert "  3 × cut" in text
    assert "lead cannot be overtaken" in text
    assert "  4 ● running" in text
    assert "84 / 2 = 42" in text


def test_every_branch_has_at_least_a_sign() -> None:
    assert all(f"{i:>3}" in drawn(64) for i in range(64))
    small = drawn(64, (40, 12), until=2.4)
    signs = [line for line in small.splitlines() if set(line) <= set("●◔✓◆×!") and line]
    assert sum(map(len, signs)) == 64


def test_votes_are_ranked_and_forced_ones_marked() -> None:
    text = drawn(8)
    assert "+ 2 forced" in text
    assert "and 4 other answers" in text
    assert "4.90 s of 5 s" in text
    assert "2.5 s left of 5 s" in drawn(8, until=2.5)
    assert "none yet" in drawn(8, until=1.0)


def shown_of(name: str, *, until: Callable[[events.Event], bool]) -> list[str]:
    """The view of a recorded race after the first event of that kind."""
    board = Scoreboard("How many?", clock=lambda: 0.0)
    for event in recorded(name):
        board.take(event)
        if until(event):
            break
    lines = console(100, 24).render_lines(LiveView(board), pad=False)
    return ["".join(segment.text for segment in line) for line in lines]


def test_a_branch_that_goes_on_is_shown_running() -> None:
    lines = shown_of("extended", until=lambda e: isinstance(e, events.BranchExtended))
    (row,) = [line for line in lines if line.startswith("  0 ")]
    assert "● running" in row
    assert row.endswith("so 𝟮·𝟯 Wait")
    lines = shown_of("forced_beside", until=lambda e: isinstance(e, events.BranchForcing))
    assert "● running" in next(line for line in lines if line.startswith("  0 "))
    lines = shown_of("forced", until=lambda e: isinstance(e, events.BranchForcing))
    assert any("◔ forcing" in line for line in lines)


def test_the_leader_is_the_strategy_s_and_comes_first() -> None:
    lines = shown_of("best_of_n", until=lambda e: isinstance(e, events.RaceDecided))
    votes = next(place for place, line in enumerate(lines) if line.startswith("votes "))
    assert lines[votes].split()[1] == "7"
    assert lines[votes + 1].split()[0] == "42"


def test_the_panel_says_what_came_out() -> None:
    (*_, last) = history(8)
    assert isinstance(last, events.RaceDecided)
    screen = console(80, 24)
    with screen.capture() as captured:
        screen.print(answer_panel(Outcome(0, Asked("How many?"), last.result)))
    text = captured.get()
    assert "38" in text
    assert "4.90 s of 5 s" in text
    assert "0.90" in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize(("slower", "seconds"), [(1.0, 0.0), (20.0, 98.0)])
async def test_a_race_is_shown_slower_than_it_ran(slower: float, seconds: float) -> None:
    display = LiveDisplay(console(80, 24), 1, slower=slower)
    with display.race(0, Asked(QUESTION)):
        board = display._board
        assert board is not None
        for event in history(6):
            assert board.race.result is None
            await display.happened(0, event)
        assert anyio.current_time() == pytest.approx(seconds)
        assert board.race.result is not None
    assert not display._held
