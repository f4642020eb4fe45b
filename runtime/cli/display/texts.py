"""What is said about races in words, and how hostile text is made fit to print."""

from typing import Final

from frontrunner.strategies.protocol import BranchStatus, StopReason

from ...result import Result
from ..common.printable import one_line

#: Why a race was called.
STOP_REASONS: Final = {
    StopReason.CLINCHED: "clinched: the lead cannot be overtaken any more",
    StopReason.CONFIDENT_MAJORITY: "clear front-runner: the missing votes would hardly change it",
    StopReason.REWARD_THRESHOLD: "good enough: a branch reached the reward threshold",
    StopReason.FIRST_TO_M: "enough branches finished",
    StopReason.EXHAUSTED: "every branch has ended",
    StopReason.DEADLINE: "time was up: the best answer known by then",
    StopReason.CANCELLED: "cancelled",
    StopReason.FAILED: "every branch was lost",
}
#: Why a branch was cut, as short as a row of the live view needs it.
_CUTS: Final = {
    StopReason.CLINCHED: "lead cannot be overtaken",
    StopReason.CONFIDENT_MAJORITY: "clear front-runner",
    StopReason.REWARD_THRESHOLD: "good enough answer",
    StopReason.FIRST_TO_M: "enough have finished",
    StopReason.EXHAUSTED: "all others have ended",
    StopReason.DEADLINE: "time was up",
    StopReason.CANCELLED: "race was cancelled",
    StopReason.FAILED: "all others were lost",
}
STATUSES: Final = {
    BranchStatus.RUNNING: "running",
    BranchStatus.FORCING: "forcing",
    BranchStatus.FINISHED: "finished",
    BranchStatus.TRUNCATED: "truncated",
    BranchStatus.FORCED: "forced",
    BranchStatus.CANCELLED: "cut",
    BranchStatus.FAILED: "lost",
}


def why_cut(reason: str | None) -> str:
    """The reason of a branch that was cancelled or lost."""
    for known, words in _CUTS.items():
        if reason == known:
            return words
    return one_line(reason or "")


def facts(result: Result) -> list[tuple[str, str]]:
    """What there is to say about a result, as names and values."""
    told = [
        ("answer", "none" if result.answer is None else one_line(result.answer)),
        ("confidence", f"{result.confidence:.2f}"),
        ("called", STOP_REASONS[result.stop_reason]),
        ("time", f"{result.elapsed:.2f} s of {result.deadline:g} s"),
        ("votes", _votes(result)),
        ("branches", branch_counts(result)),
        ("tokens", f"{result.tokens_generated:,} generated, about {result.tokens_saved:,} saved"),
    ]
    if result.scoring_tokens:
        told.append(("scores", f"{result.scoring_tokens:,} tokens read and generated"))
    told += [("note", one_line(note.text)) for note in result.notes]
    errors = sorted({one_line(b.error) for b in result.branches if b.error})
    return told + [("lost", error) for error in errors]


def branch_counts(result: Result) -> str:
    """How many branches ended how: ``6 finished, 10 cut``."""
    counts = ((result.counted(status), word) for status, word in STATUSES.items())
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "none"


def _votes(result: Result) -> str:
    finished = [f"{one_line(answer)} x {count}" for answer, count in result.votes.items()]
    forced = [f"{one_line(a)} x {count} forced" for a, count in result.forced_votes.items()]
    return ", ".join(finished + forced) or "none"
