"""Recorded branches, read for the commands that work on them."""

from collections.abc import Sequence
from pathlib import Path

from ...answers import Equivalence, WorkerPool
from ...common.logs import configure_logs
from ...errors import BadRequest
from ...traces.recordings import RecordedQuestion
from ...traces.trace_files import READER_PLUGINS, agreed, read_traces, unified
from .running import ExitStatus, run, warn


def load_recordings(
    paths: Sequence[Path], *, agreement: bool = False, reader: str | None = None
) -> list[RecordedQuestion]:
    """The questions in ``paths``, equal answers spelled alike.

    Args:
        reader: the trace reader of a user's own that reads them, also in the form
            ``package.module:function``.
        agreement: questions of which nobody knows what is right are taken, too: right is then what
            most of their branches answered, which a warning says.

    Raises:
        BadRequest: a file cannot be read, nobody knows what is right, or there is no such reader.
        Interrupted: a signal came.
    """
    configure_logs()  # or a warning would stand among the figures
    read: list[RecordedQuestion] = []
    if reader is not None:
        try:
            READER_PLUGINS.load(reader)
        except ValueError as error:
            raise BadRequest(str(error)) from error

    async def load() -> int:
        async with WorkerPool(1) as pool:
            read.extend(await unified(read_traces(paths, reader), Equivalence(pool)))
        return ExitStatus.DONE

    run(load)
    unjudged = [question for question in read if not question.judged]
    if not unjudged:
        return read
    if not agreement:
        name = unjudged[0].name
        raise BadRequest(f"{name}: the race has no right answer (gold): record with --answer")
    warn(
        f"of {len(unjudged)} of {len(read)} questions no right answer is recorded: right is, for "
        "them, what most branches answered in the end, and accuracy is agreement with that"
    )
    return [agreed(question) for question in read]


def warn_of_cut_branches(questions: Sequence[RecordedQuestion], *, remedy: str) -> None:
    """Says on stderr how many recorded branches cannot be used, and how to record whole ones."""
    left = sum(question.left_out for question in questions)
    if left:
        whole = sum(len(question.branches) for question in questions)
        warn(
            f"{left} of {left + whole} recorded branches were cut or forced and are left "
            f"out, which makes branches look shorter than they are: {remedy}"
        )
