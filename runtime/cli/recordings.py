"""Recorded branches, read for the commands that work on them."""

from collections.abc import Sequence
from pathlib import Path

from ..answers import Equivalence, WorkerPool
from ..experiments.traces import RecordedQuestion, read_traces, unified
from .running import ExitStatus, run


def load_recordings(paths: Sequence[Path]) -> list[RecordedQuestion]:
    """The questions in ``paths``, equal answers spelled alike.

    Raises:
        BadRequest: a file cannot be read.
        Interrupted: a signal came.
    """
    read: list[RecordedQuestion] = []

    async def load() -> int:
        async with WorkerPool(1) as pool:
            read.extend(await unified(read_traces(paths), Equivalence(pool)))
        return ExitStatus.DONE

    run(load)
    return read
