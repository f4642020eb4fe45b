"""Giving branches back while other races need the engine."""

from .protocol import BranchStatus, Cancel, RaceView

#: Why a branch was cut.
REASON = "other races need the engine"


def shed_branches(view: RaceView, share: int) -> list[Cancel]:
    """One ``Cancel`` for the running branches beyond ``share``; nothing if there are none.

    Those go that have the fewest tokens, which are furthest from a vote, and of equals the last
    launched. One always stays: something is still to come.
    """
    running = [(-b.tokens, i) for i, b in view.branches.items() if b.status is BranchStatus.RUNNING]
    running.sort()
    cut = tuple(sorted(i for _, i in running[max(1, share) :]))
    return [Cancel(cut, REASON)] if cut else []
