"""What whoever reads a result should know of it: that its answer was forced out of the branches,
say, and what that is worth."""

from collections.abc import Iterator

from frontrunner.strategies.protocol import BranchStatus

from ..result import Note, Result


def notes_of(result: Result, *, voted: bool, optional: bool) -> tuple[Note, ...]:
    """What is to be said about a result.

    Args:
        voted: whether branches answer at all.
        optional: whether a branch may reply without an answer.
    """
    if not voted or result.votes or not result.branches:
        return ()
    return tuple(_notes(result, optional=optional))


def comparison_note(undecided: int) -> Note | None:
    """What is to be said where so many formulas could not be compared."""
    if not undecided:
        return None
    said = "1 formula" if undecided == 1 else f"{undecided} formulas"
    return Note(
        "answers_not_compared",
        f"{said} in the answers could not be read in time, and count by their spelling: equal "
        "answers may have been counted apart.",
    )


def _notes(result: Result, *, optional: bool) -> Iterator[Note]:
    forced = sum(result.forced_votes.values())
    silent = result.counted(BranchStatus.FINISHED)
    if result.answer is None:
        if not (optional and silent):
            yield Note("no_answer", f"No branch gave an answer: {_ends(result)}.{_hint(silent)}")
        return
    if not forced:  # what decided was something else than votes
        return
    most = result.forced_votes.get(result.answer, 0)
    worth = f"{most} of {forced} forced ones" if forced > 1 else "one that was forced"
    yield Note(
        "no_branch_answered",
        f"No branch answered by itself: {_ends(result)}. The answer is that of {worth}."
        f"{_hint(silent)}",
    )
    if forced > 1 and len(result.forced_votes) == forced:
        yield Note(
            "forced_answers_differ",
            f"All {forced} forced answers differ: this one is no better than a guess.",
        )


def _ends(result: Result) -> str:
    silent = result.counted(BranchStatus.FINISHED)
    lost = result.counted(BranchStatus.FAILED)
    forced = result.counted(BranchStatus.FORCED)
    limited = result.counted(BranchStatus.TRUNCATED)
    cut = len(result.branches) - silent - lost - forced - limited
    counts = (
        (silent, "ended without an answer"),
        (forced, "forced to answer"),
        (limited, "cut at the token limit"),
        (cut, "cut before an end"),
        (lost, "lost"),
    )
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"of {len(result.branches)}, {said}"


def _hint(silent: int) -> str:
    """What to do where branches ended and nothing was found in them."""
    if not silent:
        return ""
    return (
        " What branches end with is not what answers.kind looks for: ask for it by [prompt] "
        "instruction, or set another kind."
    )
