"""How a race ends, whatever decides it: the call time, forced answers, the last branch.

A strategy that decides by votes needs no more than this::

    match observation:
        case CallTimeReached():
            leader, runner_up = tally(view).lead()
            return self._closing.at_call_time(view, settled=leader > runner_up)
        case BranchFinished() | BranchForced() | BranchFailed():
            if over(view):
                return self._closing.when_over(view, lambda r: decide_by_votes(view, r))

One that decides by rewards passes a ``decide`` of its own, which may use ``decide_for``.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from .protocol import BranchStatus, Command, Decide, Force, RaceView, StopReason
from .stopping import preference
from .votes import Tally, replies, supporter, tally


def over(view: RaceView, besides: Container[int] = ()) -> bool:
    """Whether nothing can come any more but what the strategy itself asks for: no branch runs or
    is being forced, ``besides`` those that it is cancelling in the same breath (a cancelled branch
    brings no observation)."""
    for index, branch in view.branches.items():
        # Spelt out: it is asked after every branch of every race that is replayed.
        status = branch.status
        if (
            status is BranchStatus.RUNNING or status is BranchStatus.FORCING
        ) and index not in besides:
            return False
    return True


def unanswered(view: RaceView) -> tuple[int, ...]:
    """The branches that may be forced, since they were cut: those that run, and those that ran into
    their token limit without an answer. One that ended by itself without an answer has replied."""
    return tuple(
        i
        for i, b in view.branches.items()
        if b.status is BranchStatus.RUNNING
        or (b.status is BranchStatus.TRUNCATED and b.answer is None)
    )


def force_unanswered(view: RaceView) -> list[Command]:
    """One ``Force`` for all branches without an answer; nothing if there are none. Those that run
    may go on: the time kept for forcing is not lost to them."""
    chosen = unanswered(view)
    return [Force(chosen, let_run=True)] if chosen else []


def decide_by_votes(view: RaceView, reason: StopReason, votes: Tally[Any] | None = None) -> Decide:
    """The leader of ``votes`` (by default one vote a branch), shown by the first branch that gave
    it. The confidence is the posterior probability that the model prefers it to the runner-up
    (``stopping.preference``)."""
    votes = votes or tally(view)
    answer = votes.leader
    confidence = preference(*votes.deciding()) if answer is not None else 0.0
    return decide_for(view, answer, supporter(view, answer), reason, confidence)


def decide_for(
    view: RaceView, answer: str | None, branch: int | None, reason: StopReason, confidence: float
) -> Decide:
    """This answer. Without one the first branch that ended by itself is shown, and with every
    branch lost the race has failed instead."""
    if answer is None and branch is None:
        branch = next(iter(replies(view)), None)
    if answer is None and all(b.status is BranchStatus.FAILED for b in view.branches.values()):
        reason = StopReason.FAILED
    return Decide(answer, branch, reason, confidence)


def _may_speak(view: RaceView) -> bool:
    """Whether forced answers could outweigh the replies, did all that are still to come agree."""
    votes = tally(view)
    most = max(votes.forced.values(), default=0) + len(unanswered(view))
    return bool(votes.finished) or votes.replies < most


@dataclass(slots=True)
class Closing:
    """What a strategy must remember about the end of its race.

    Args:
        force_answers: whether branches without an answer may be forced to give one.
    """

    force_answers: bool = True
    called: bool = False  # the call time was reached
    asked: bool = False  # branches that ended without an answer were forced to give one

    def at_call_time(self, view: RaceView, *, settled: bool) -> list[Command]:
        """Call on ``CallTimeReached``. Forces every branch that was cut without an answer, unless
        the race is ``settled`` or that could not outweigh the replies: forced answers only break
        ties or speak when nothing has finished, and branches may still finish by themselves in the
        time that was kept for forcing."""
        self.called = True
        if not self.force_answers or settled or not _may_speak(view):
            return []
        return force_unanswered(view)

    def when_over(
        self,
        view: RaceView,
        decide: Callable[[StopReason], Decide],
        *,
        answered: bool | None = None,
    ) -> list[Command]:
        """Call when nothing can come any more. If no branch has given an answer (``answered``,
        worked out from the votes by default; one that was cut at its token limit has not), those
        that were cut are forced, once, as long as they could outweigh the replies; else ``decide``
        is asked with the reason, ``EXHAUSTED`` or ``DEADLINE``."""
        if answered is None:
            came = [view.branches[i] for i in view.arrivals]
            answered = any(
                b.answer is not None and b.status is not BranchStatus.TRUNCATED for b in came
            )
        if not answered and self.force_answers and not self.asked and _may_speak(view):
            # Ask those for an answer that were cut before they came to it.
            self.asked = True
            commands = force_unanswered(view)
            if commands:
                return commands
        cut_short = self.called and any(
            b.status is BranchStatus.FORCED for b in view.branches.values()
        )
        return [decide(StopReason.DEADLINE if cut_short else StopReason.EXHAUSTED)]
