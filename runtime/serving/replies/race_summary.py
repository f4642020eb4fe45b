"""The ``frontrunner`` object of a reply: how its race went."""

from collections.abc import Sequence

from frontrunner.strategies.protocol import BranchStatus

from ...result import Result
from ..reply_bodies import Race
from ..requests.ignored_fields import told


def summary(result: Result, ignored: Sequence[str] = ()) -> Race:
    """What is said about a race beside its answer. Times are in seconds; ``overshoot`` is how much
    later than the deadline the result came, 0 if it did not. ``ignored`` are the fields of the
    request that were sent and have no effect."""
    return {
        "race_id": result.race_id,
        "answer": result.answer,
        "confidence": result.confidence,
        "accuracy_estimate": result.accuracy_estimate,
        "stop_reason": result.stop_reason,
        "notes": [{"code": note.code, "text": note.text} for note in result.notes],
        "votes": result.votes,
        "forced_votes": result.forced_votes,
        "branches": {
            "launched": len(result.branches),
            "finished": result.counted(BranchStatus.FINISHED),
            "truncated": result.counted(BranchStatus.TRUNCATED),
            "forced": result.counted(BranchStatus.FORCED),
            "cancelled": result.counted(BranchStatus.CANCELLED),
            "failed": result.counted(BranchStatus.FAILED),
        },
        "tokens_generated": result.tokens_generated,
        "scoring_tokens": result.scoring_tokens,
        "tokens_saved": result.tokens_saved,
        "elapsed": round(result.elapsed, 6),
        "deadline": result.deadline,
        "overshoot": round(max(0.0, result.elapsed - result.deadline), 6),
        "ignored": told(ignored),
    }
