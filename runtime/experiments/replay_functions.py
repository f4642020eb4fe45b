"""Replays as functions, for notebooks and programs."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import TypedDict, Unpack

import anyio

from frontrunner.strategies.lengths import LengthModel

from ..answers import Equivalence, WorkerPool
from ..errors import BadRequest
from ..simulation.cells import StrategySpec, cells_of
from ..simulation.simulated_race import Timing
from ..traces.recordings import RecordedQuestion
from ..traces.trace_files import READER_PLUGINS, agreed, read_traces, unified
from .comparison import Row, rows_of
from .draws import Draw, draws_of
from .replay import Job, Replay, Replayed

_BASELINE = "majority:stop=none"

Paths = str | Path | Sequence[str | Path]
Strategies = str | Sequence[str]


class ReplayOptions(TypedDict, total=False):
    """What a replay may be told; everything has a default, which is that of ``frontrunner
    replay``."""

    branches: int | Sequence[int]
    """Branches of a race; several are compared. 16."""
    deadlines: float | Sequence[float | None] | None
    """Of a race, in tokens of a branch, or in seconds with ``step_seconds``; None: none."""
    forced: bool | Sequence[bool]
    """Whether unfinished branches are asked for their answers at the deadline. True."""
    draws: int
    """Random draws of branches for each question. 100."""
    seed: int
    """Which draws."""
    step_seconds: float | None
    """Seconds that one token takes; times are in tokens without it."""
    lengths: LengthModel | str | None
    """What is known beforehand of how long branches get, where there is a deadline: ``pooled``
    (all other questions'), nothing, or a model."""
    baseline: str
    """The strategy that the others are compared with. ``majority:stop=none``."""
    reader: str | None
    """The trace reader of your own that reads the files. None: each is told by what is in it."""
    processes: int
    """Processes that replay at most. 1: with more of them, a script needs the usual ``if __name__
    == "__main__":``."""


def replay(
    traces: Paths, strategies: Strategies = "majority", **options: Unpack[ReplayOptions]
) -> list[Row]:
    """Compare strategies on recorded branches.

    Args:
        traces: files that ``frontrunner replay`` reads. Where nothing says what is right, right is
            what most branches of a question answered.
        strategies: as on the command line: ``name:key=value,key=value``; the name may be that of
            a class of your own, ``package.module:Class``, or be registered.
        options: see ``ReplayOptions``.

    Returns:
        A row for each strategy, number of branches, deadline and ``forced``, the baseline and the
        clairvoyant stop included. They are dataclasses, which pandas makes a table of.

    Raises:
        BadRequest: a file, a strategy or an option is wrong, or numpy is missing.
        ReplayFailed: a strategy raised.
    """
    replayed, baseline, step = _replayed(traces, strategies, options)
    return rows_of(replayed, baseline, step_seconds=step)


def replay_draws(
    traces: Paths, strategies: Strategies = "majority", **options: Unpack[ReplayOptions]
) -> list[Draw]:
    """The same as ``replay``, as the single races: a value for each cell, question and draw. All
    cells see the same draws, so that races can be compared in pairs.

    Raises:
        BadRequest, ReplayFailed: as ``replay``.
    """
    replayed, _, step = _replayed(traces, strategies, options)
    return list(draws_of(replayed, step_seconds=step))


def _replayed(
    traces: Paths, strategies: Strategies, options: ReplayOptions
) -> tuple[Replayed, StrategySpec, float | None]:
    step = options.get("step_seconds")
    if step is not None and not 0 < step < inf:
        raise BadRequest("step_seconds must be a positive number of seconds")
    draws = options.get("draws", 100)
    if draws < 1:
        raise BadRequest("draws must be at least 1")
    baseline = StrategySpec.parse(options.get("baseline", _BASELINE))
    named = [strategies] if isinstance(strategies, str) else strategies
    specs = dict.fromkeys([baseline, *map(StrategySpec.parse, named)])
    given = options.get("branches", 16)
    counts = [given] if isinstance(given, int) else list(given)
    if any(count < 1 for count in counts):
        raise BadRequest("branches must be at least 1")
    deadlines = [inf if d is None else d / (step or 1.0) for d in _deadlines(options)]
    if any(not d > 0 for d in deadlines):
        raise BadRequest("deadlines must be positive, or None")
    force = options.get("forced", True)
    for spec in specs:
        for count in counts:
            spec.create(count, forced=True)
    switches = [force] if isinstance(force, bool) else list(force)
    job = Job(
        _read([traces] if isinstance(traces, str | Path) else traces, options.get("reader")),
        cells_of(list(specs), counts, deadlines, switches),
        draws,
        options.get("seed", 0),
        Timing(),
        options.get("lengths", "pooled"),
    )
    running = Replay(job, options.get("processes", 1))
    for _ in running.run():
        pass
    return running.result(), baseline, step


def _deadlines(options: ReplayOptions) -> Sequence[float | None]:
    given = options.get("deadlines")
    return [given] if given is None or isinstance(given, int | float) else given


def _read(paths: Sequence[str | Path], reader: str | None) -> list[RecordedQuestion]:
    """The questions of files. They are read in a thread, so that this may also be called where an
    event loop runs, as in a notebook."""

    if reader is not None:
        try:
            READER_PLUGINS.load(reader)
        except ValueError as error:
            raise BadRequest(str(error)) from error

    async def load() -> list[RecordedQuestion]:
        async with WorkerPool(1) as pool:
            read = read_traces([Path(path) for path in paths], reader)
            return await unified(read, Equivalence(pool))

    with ThreadPoolExecutor(1) as thread:
        return [agreed(question) for question in thread.submit(anyio.run, load).result()]
