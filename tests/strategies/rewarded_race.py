"""What any race decided by rewards must keep to, on top of what every race must."""

from collections import Counter
from math import inf

from frontrunner.strategies.protocol import BranchStatus, Decide

from .any_race import AnyRace


class AnyRewardedRace(AnyRace):
    """Checks the documented order: the score, then finished votes, then forced ones."""

    def check_best(self, decision: Decide) -> None:
        """For ``pick="score"``: worked out anew from the view, answer by answer."""
        came = [self.view.branches[i] for i in self.view.arrivals]
        given = [b for b in came if b.answer is not None]
        if decision.answer is None:
            return  # what that takes is checked of every race
        finished = [b for b in given if b.status is BranchStatus.FINISHED]
        votes = Counter(b.answer for b in finished)
        forced = Counter(b.answer for b in given if b.status is not BranchStatus.FINISHED)

        def rank(answer: str | None) -> tuple[float, int, int]:
            scores = [b.score for b in finished if b.answer == answer and b.score is not None]
            return max(scores, default=-inf), votes[answer], forced[answer]

        best = max(rank(b.answer) for b in given)
        assert rank(decision.answer) == best
        assert decision.branch is not None
        shown = self.view.branches[decision.branch]
        assert shown.answer == decision.answer
        if best[0] > -inf:
            assert shown.score == best[0]
            assert decision.confidence == best[0]

    def check(self, decision: Decide) -> None:
        if getattr(self.strategy, "pick", "score") == "score":
            self.check_best(decision)
