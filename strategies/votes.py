"""Counting votes.

Finished votes decide. Forced answers only break ties between finished ones, or speak when nothing
has finished (lexicographic): counting both alike costs 3 to 5 points at moderate deadlines in
replays of real branches, and ignoring forced answers 7 to 14 at tight ones. What a branch had
answered when it was cut at its token limit counts like a forced answer.

A branch that ended by itself without an answer has replied: to a greeting there is nothing to box.
Replies cannot be compared, and any finished answer comes before them; but where nothing else has
finished, forced answers speak only if more of them agree than branches replied.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .protocol import BranchStatus, RaceView

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Tally(Generic[N]):
    """Votes by answer, counted (``int``) or weighed (``float``); dictionaries keep the order of
    arrival."""

    finished: dict[str, N]
    forced: dict[str, N]
    replies: int = 0
    """Branches that ended by themselves without an answer."""

    @property
    def leader(self) -> str | None:
        """The answer in front: most finished votes, then most forced ones, then first to arrive.
        None: there is none, or replies stand against forced ones (see above)."""
        if not self.finished and self.replies >= max(self.forced.values(), default=0):
            return None
        return self.ranking()[0]

    def ranking(self) -> list[str]:
        """All answers, best first. Stable: answers equal in both counts keep arrival order."""
        answers = list(dict.fromkeys([*self.finished, *self.forced]))
        return sorted(answers, key=self._weight, reverse=True)

    def lead(self) -> tuple[float, float]:
        """Finished votes of the leader and of the runner-up."""
        return _two_largest(self.finished)

    def deciding(self) -> tuple[float, float]:
        """Votes of leader and runner-up in the tier that decides (forced if nothing finished)."""
        return _two_largest(self.finished or self.forced)

    @property
    def total(self) -> float:
        """Number, or weight, of the finished votes."""
        return sum(self.finished.values())

    def _weight(self, answer: str) -> tuple[float, float]:
        return self.finished.get(answer, 0), self.forced.get(answer, 0)


def count(finished: Sequence[str], forced: Sequence[str] = (), replies: int = 0) -> Tally[int]:
    """Tally answers given in order of arrival, and replies without one."""
    return Tally(dict(Counter(finished)), dict(Counter(forced)), replies)


def tally(view: RaceView) -> Tally[int]:
    """The votes of a race, in completion order. Branches without an answer do not vote."""
    finished: list[str] = []
    forced: list[str] = []
    replies = 0
    for index in view.arrivals:
        branch = view.branches[index]
        if branch.answer is not None:
            (finished if branch.status is BranchStatus.FINISHED else forced).append(branch.answer)
        elif branch.status is BranchStatus.FINISHED:
            replies += 1
    return count(finished, forced, replies)


def replies(view: RaceView) -> list[int]:
    """The branches that ended by themselves without an answer, in order of arrival."""
    return [
        i
        for i in view.arrivals
        if view.branches[i].status is BranchStatus.FINISHED and view.branches[i].answer is None
    ]


def by_votes(votes: Mapping[str, int]) -> dict[str, int]:
    """The same votes, most first; equal ones keep their order of arrival."""
    return dict(sorted(votes.items(), key=lambda item: -item[1]))


def supporter(view: RaceView, answer: str | None) -> int | None:
    """The branch to show for ``answer``: the first finished one that gave it, else first forced."""
    giving = [i for i in view.arrivals if view.branches[i].answer == answer]
    if answer is None or not giving:
        return None
    finished = [i for i in giving if view.branches[i].status is BranchStatus.FINISHED]
    return (finished or giving)[0]


def _two_largest(votes: Mapping[str, float]) -> tuple[float, float]:
    counts = sorted(votes.values(), reverse=True)
    return (counts[0] if counts else 0, counts[1] if len(counts) > 1 else 0)
