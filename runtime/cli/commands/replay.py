"""``frontrunner replay``: strategies on recorded branches."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from math import inf, isfinite
from pathlib import Path
from types import FrameType
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

from frontrunner import __version__
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.stop_rules import STOP_NAMES

from ...common.whole_files import staged, write_whole
from ...errors import BadRequest
from ...experiments.checkpoint import read_parts, write_parts
from ...experiments.comparison import Row, rows_of
from ...experiments.draws import draws_of
from ...experiments.intervals import numpy
from ...experiments.replay import Job, Replay, Replayed
from ...experiments.report import draw_plots, fitting_table, replay_report, table
from ...experiments.row_files import write_csv, write_parquet
from ...simulation.cells import StrategySpec, cells_of
from ...simulation.simulated_race import Timing
from ...traces.recordings import RecordedQuestion
from ..common.console import plain_lines, print_json, print_lines, progress_bar
from ..common.output import is_terminal, width_of_output
from ..common.own_sources import own_sources
from ..common.recording_files import load_recordings, warn_of_cut_branches
from ..common.report_file import write_report
from ..common.running import ExitStatus, Interrupted
from ..options.replay import ReplayCommand

#: What is compared if nothing is named: every stop rule, and the first finishers.
_DEFAULT_STRATEGIES = (
    *(f"majority:stop={name}" for name in STOP_NAMES),
    "first_to_m:m=1",
    "first_to_m:m=3",
)
#: What has been replayed of a command that was broken off, in the folder of ``--out``.
_KEPT = "replay.partial"
#: Columns of a table that goes into a file or a pipe.
_WIDTH = 240

T = TypeVar("T")


def run_replay(command: ReplayCommand) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: before anything was replayed, or because a strategy failed.
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came.
    """
    numpy()  # what is missing is said before the work, not after it
    if command.per_draw and command.out is None:
        raise BadRequest("--per-draw writes a file: name its folder with --out")
    if command.out is not None:
        _make_folder(command.out)
    job_of = _checked(command)
    questions = load_recordings(command.traces, agreement=True, reader=command.reader)
    replay = Replay(job_of(questions), command.processes)
    warn_of_cut_branches(questions, remedy="record with --param stop=none and a generous deadline")
    replayed = _with_progress(replay) if command.out is None else _resumed(command, replay)
    rows = rows_of(
        replayed, StrategySpec.parse(command.baseline), step_seconds=command.step_seconds
    )
    _show(command, rows, "tokens" if command.step_seconds is None else "seconds", replayed)
    return ExitStatus.DONE


# ── going on ──────────────────────────────────────────────────────────────────────────────────


def _resumed(command: ReplayCommand, replay: Replay) -> Replayed:
    """Run what has not been run yet; what is run is kept if it is broken off.

    Raises:
        BadRequest: it cannot be kept.
        Interrupted: a signal came.
    """
    assert command.out is not None
    kept, identity = command.out / _KEPT, _identity(command)
    done = replay.resume(read_parts(kept, identity))
    if done:
        print(f"going on: {done:,} of {replay.races:,} races are done", file=sys.stderr)
    try:
        replayed = _with_progress(replay, done)
    except Interrupted:
        write_parts(kept, identity, replay.parts)
        print(f"kept in {kept}: the same command goes on from there", file=sys.stderr)
        raise
    with suppress(OSError):
        kept.unlink()
    return replayed


def _identity(command: ReplayCommand) -> str:
    """The same only for a command that gives the same figures."""
    said = replace(command, out=None, per_draw=False, json=False, processes=None)
    digest = sha256(f"{__version__} {said}".encode())
    for path in command.traces:
        digest.update(sha256(path.read_bytes()).digest())
    for name in (*(command.strategies or ()), command.baseline):
        for source in own_sources(name):  # it may have been changed meanwhile
            digest.update(source)
    return digest.hexdigest()


def _checked(command: ReplayCommand) -> Callable[[list[RecordedQuestion]], Job]:
    """The job but for the traces, so that a typing error costs nobody the time to read them."""
    step = command.step_seconds
    if step is not None and not (isfinite(step) and step > 0):
        raise BadRequest("--step-seconds must be a positive number of seconds")
    unit = step or 1.0
    if command.draws < 1:
        raise BadRequest("--draws must be at least 1")
    for name in ("reserve", "forced_cost", "score_delay"):
        value = getattr(command, name)
        if not (isfinite(value) and value >= 0):
            raise BadRequest(f"--{name.replace('_', '-')} must be a number of at least 0")
    baseline = StrategySpec.parse(command.baseline)
    given = [StrategySpec.parse(text) for text in command.strategies or _DEFAULT_STRATEGIES]
    branches = _list("--branches", command.branches, _whole)
    deadlines = _list("--deadlines", command.deadlines, lambda text: _deadline(text) / unit)
    forced = _list("--forced", command.forced, _switch)
    if command.reserve and any(d * unit <= command.reserve for d in deadlines):
        raise BadRequest("--reserve must be shorter than each deadline")
    strategies = list(dict.fromkeys([baseline, *given]))
    for strategy in strategies:
        for count in branches:
            strategy.create(count, forced=True)
    lengths = _lengths(command.lengths)
    timing = Timing(
        reserve=command.reserve / unit,
        forced_cost=command.forced_cost / unit,
        score_delay=command.score_delay / unit,
    )
    cells = cells_of(strategies, branches, deadlines, forced)
    error = command.verifier_error
    if not 0 <= error < 1:
        raise BadRequest("--verifier-error must be a share of at least 0 and below 1")
    return lambda questions: Job(
        questions, cells, command.draws, command.seed, timing, lengths, error
    )


# ── reading ───────────────────────────────────────────────────────────────────────────────────


def _list(option: str, text: str, read: Callable[[str], T]) -> list[T]:
    try:
        values = [read(part.strip().lower()) for part in text.split(",")]
    except ValueError as error:
        raise BadRequest(f"{option}: {error}") from error
    return list(dict.fromkeys(values))


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"whole numbers of at least 1 are expected, as in 8,16, not {text!r}")
    return int(text)


def _deadline(text: str) -> float:
    if text == "none":
        return inf
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and value > 0):
        raise ValueError(f"positive numbers or none are expected, as in none,4000, not {text!r}")
    return value


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(f"on, off or on,off is expected, not {text!r}")
    return text == "on"


def _lengths(text: str) -> LengthModel | str | None:
    match text.split(","):
        case ["pooled"]:
            return "pooled"
        case ["none"]:
            return None
        case [median, p95]:
            try:
                return LengthModel.from_quantiles(float(median), float(p95))
            except ValueError as error:
                raise BadRequest(f"--lengths: {error}") from error
        case _:
            raise BadRequest("--lengths takes pooled, none, or MEDIAN,P95 in tokens")


# ── showing ───────────────────────────────────────────────────────────────────────────────────


def _with_progress(replay: Replay, done: int = 0) -> Replayed:
    columns = ("[cyan]races[/cyan]", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        _signals_noted() as received,
        progress_bar(*columns) as p,
        closing(replay.run()) as steps,
    ):
        bar = p.add_task("", total=replay.races, completed=done)
        for races in steps:
            p.advance(bar, races)
            if received:
                raise Interrupted(received[0])
    return replay.result()


def _show(command: ReplayCommand, rows: Sequence[Row], unit: str, replayed: Replayed) -> None:
    plain = plain_lines(table(rows, unit), width=_WIDTH)
    if command.json:
        print_json(*(row.as_dict() for row in rows))
    elif is_terminal():
        width = width_of_output()
        fitting, left_out = fitting_table(rows, unit, width)
        print_lines(plain_lines(fitting, width=width))
        if left_out:
            print_lines([f"left out to fit: {', '.join(left_out)}; a pipe or a file gets them all"])
    else:
        print_lines(plain)
    if command.out is None:
        return
    try:
        write_whole(command.out / "table.txt", *(f"{line}\n" for line in plain))
        write_csv(rows, command.out / "cells.csv")
        parquet = write_parquet(rows, command.out / "cells.parquet")
        if command.per_draw:
            races = draws_of(replayed, step_seconds=command.step_seconds)
            write_csv(races, command.out / "draws.csv")
        drawn = draw_plots(rows, command.out, unit)
        facts = {"recordings": ", ".join(path.name for path in command.traces)}
        report = replay_report(rows, unit, facts)
        write_report(report, command.out)
    except OSError as error:
        raise BadRequest(f"cannot write to {command.out} ({error.strerror})") from error
    files = ["report.html", "table.txt", "cells.csv", *(["cells.parquet"] if parquet else [])]
    files += ["draws.csv"] if command.per_draw else []
    names = ", ".join([*files, *(path.name for path in drawn)])
    print(f"wrote {names} to {command.out}", file=sys.stderr)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"cannot make the folder {folder} ({error.strerror})") from error
    with staged(folder / _KEPT):  # that nothing can be written there is said before the work
        pass


@contextmanager
def _signals_noted() -> Iterator[list[signal.Signals]]:
    """The first SIGINT or SIGTERM is noted, since an exception in the midst of starting a process
    would leave it half started. A second one ends this process, and with it the others, at once."""
    received: list[signal.Signals] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for each in before:
            signal.signal(each, signal.SIG_DFL)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        signal.signal(each, note)
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
