"""What strategies that decide by rewards have in common: asking for scores, and the choice.

The choice is lexicographic. Finished branches with a score come first, by score; then finished
ones without, by votes; then forced ones, by votes. Each only breaks ties of the one before, and the
first to arrive wins what is still a tie. A branch without an answer is never chosen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from .closing import Closing, decide_for, over
from .protocol import BranchStatus, BranchView, Command, Decide, RaceView, Score, StopReason
from .standing import Standing
from .stopping import preference
from .votes import supporter, tally

#: The answer of the best score, or that of the largest sum of weights (a reward-weighted vote).
Pick = Literal["score", "sum"]
#: Best score or sum, finished votes, forced votes, best score of a forced branch; larger is better.
Key = tuple[float, int, int, float]


def check_pick(pick: Pick) -> None:
    """Raises:
    ValueError: if there is no such pick."""
    if pick not in ("score", "sum"):
        raise ValueError("pick must be one of score, sum")


def clipped(score: float) -> float:
    """A score as a probability."""
    return min(1.0, max(0.0, score))


@dataclass(slots=True)
class Scores:
    """The scores of one race, and the choice by them.

    At most one scoring of a branch is under way at a time, so that the score which the view holds
    is never older than the last one heard of.

    Args:
        pick: the answer of the best score, or that of the largest sum of weights.
        force_answers: whether branches without an answer are forced to give one at the call time,
            if no finished answer leads by then.
        weight: a score's weight in the sum; at least 0.
    """

    pick: Pick = "score"
    force_answers: bool = True
    weight: Callable[[float], float] = clipped
    _closing: Closing = field(init=False)
    _asked: set[int] = field(default_factory=set[int])  # being scored
    _final: set[int] = field(default_factory=set[int])  # asked for after they had finished

    def __post_init__(self) -> None:
        self._closing = Closing(self.force_answers)

    @property
    def called(self) -> bool:
        """Whether the call time was reached."""
        return self._closing.called

    # ── asking ────────────────────────────────────────────────────────────────────────────────

    def ask(self, *branches: int) -> list[Command]:
        """One ``Score`` for those of ``branches`` that are not being scored."""
        chosen = tuple(i for i in branches if i not in self._asked)
        self._asked.update(chosen)
        return [Score(chosen)] if chosen else []

    def asking(self, branch: int) -> bool:
        return branch in self._asked

    def ended(self, branch: BranchView) -> list[Command]:
        """Call when a branch has ended: asks for the final score of one that ended by itself with
        an answer, now or as soon as the scoring that is under way has ended."""
        votes = branch.status is BranchStatus.FINISHED and branch.answer is not None
        if not votes or branch.index in self._asked or branch.index in self._final:
            return []
        self._final.add(branch.index)
        return self.ask(branch.index)

    def heard(self, branch: BranchView) -> list[Command]:
        """Call when scoring a branch has ended."""
        self._asked.discard(branch.index)
        return self.ended(branch) if branch.status is BranchStatus.FINISHED else []

    def final(self, branch: BranchView) -> float | None:
        """The score of all that a finished branch wrote; None: none (yet), or it failed."""
        known = branch.index in self._final and branch.index not in self._asked
        return branch.score if known and branch.status is BranchStatus.FINISHED else None

    def awaited(self, view: RaceView) -> bool:
        """Whether the score of a finished answer is still to come."""
        return any(
            b.status is BranchStatus.FINISHED
            and b.answer is not None
            and (b.index in self._asked or b.index not in self._final)
            for b in view.branches.values()
        )

    # ── the end ───────────────────────────────────────────────────────────────────────────────

    def at_call_time(self, view: RaceView) -> list[Command]:
        """Call on ``CallTimeReached``: forces what is unanswered, unless a finished answer leads,
        which forced ones could not change."""
        return self._closing.at_call_time(view, settled=self._leads(view))

    def when_over(self, view: RaceView, besides: tuple[int, ...] = ()) -> list[Command]:
        """Call after every event: the decision, once no branch (``besides`` those being cancelled)
        and no score can come any more; nothing before."""
        if over(view, besides) and not self.awaited(view):
            return self._closing.when_over(view, lambda reason: self.decide(view, reason))
        return []

    def decide(self, view: RaceView, reason: StopReason) -> Decide:
        """The best answer now.

        Its confidence is its best score (``pick="score"``) or its share of all weights (``sum``);
        without a score, the posterior probability that the model prefers it to the runner-up.
        """
        ranking = self._ranking(view)
        if not ranking:
            return decide_for(view, None, None, reason, 0.0)
        answer, (value, *_) = ranking[0]
        if value == -inf:
            confidence = preference(*tally(view).deciding())
        elif self.pick == "score":
            confidence = clipped(value)
        else:
            total = sum(key[0] for _, key in ranking if key[0] > -inf)
            confidence = min(1.0, value / total) if total > 0 else 0.0
        return decide_for(view, answer, self._shown(view, answer), reason, confidence)

    def standing(self, view: RaceView) -> Standing:
        """The answer that ``decide`` would give now, and what each answer that has a score is
        worth: its best score, or its sum of weights."""
        ranking = self._ranking(view)
        values = {answer: key[0] for answer, key in ranking if key[0] > -inf}
        return Standing(ranking[0][0] if ranking else None, values)

    def _ranking(self, view: RaceView) -> list[tuple[str, Key]]:
        """All answers with what ranks them, best first; none where replies stand against those
        that were forced."""
        votes = tally(view)
        if votes.leader is None:
            return []
        values: dict[str, float] = {}
        partial: dict[str, float] = {}
        for index in view.arrivals:
            branch = view.branches[index]
            answer, score = branch.answer, branch.score
            if answer is None or score is None:
                continue
            if branch.status is not BranchStatus.FINISHED:
                partial[answer] = max(partial.get(answer, -inf), score)
            elif self.pick == "sum":
                values[answer] = values.get(answer, 0.0) + self.weight(score)
            else:
                values[answer] = max(values.get(answer, -inf), score)
        keys: dict[str, Key] = {
            answer: (
                values.get(answer, -inf),
                votes.finished.get(answer, 0),
                votes.forced.get(answer, 0),
                partial.get(answer, -inf),
            )
            for answer in votes.ranking()
        }
        return sorted(keys.items(), key=lambda entry: entry[1], reverse=True)

    def _leads(self, view: RaceView) -> bool:
        """Whether a finished answer is ahead of all others, whatever is forced."""
        ranking = [key for _, key in self._ranking(view)]
        if not ranking or ranking[0][1] == 0:
            return False
        return len(ranking) == 1 or ranking[0][:2] > ranking[1][:2]

    def _shown(self, view: RaceView, answer: str) -> int | None:
        """The finished branch of the best score among those that gave ``answer``."""
        scored = [
            (b.score, i)
            for i in view.arrivals
            if (b := view.branches[i]).answer == answer
            and b.status is BranchStatus.FINISHED
            and b.score is not None
        ]
        return max(scored, key=lambda entry: entry[0])[1] if scored else supporter(view, answer)
