"""From tokens to seconds: when the branches of a race reach a token.

Branches that are launched together advance together, so their common position is a clock of its
own, on which recorded races are replayed (``experiments.simulator``). This is how it runs in
seconds: by the step-time model, at the batch of the moment, which shrinks as branches end, over
contexts that grow, with the tokens that a step yields at that position.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..cost_model.acceptance import NOTHING_ACCEPTED, Acceptance
from ..cost_model.step_time import StepTime

#: Between two knots times are interpolated; contexts grow by no more than this meanwhile.
_MAX_PIECE = 512


@dataclass(frozen=True, slots=True)
class StepRate:
    """How fast branches generate on an engine."""

    step: StepTime
    acceptance: Acceptance = NOTHING_ACCEPTED
    k: Callable[[int], int] = lambda batch: 0
    """Draft tokens by the number of branches in a step."""

    def seconds_per_token(self, batch: int, context: float, position: float) -> float:
        """Of one branch, at ``position`` of its output, among ``batch`` in all."""
        k = self.k(batch)
        yielded = self.acceptance.tokens_per_step(k, position, batch) if k else 1.0
        return self.step.seconds(batch, context, k) / yielded


class TokenClock:
    """When branches that run to their own ends reach each token.

    A strategy that cuts branches on the way makes the others faster than this says.
    """

    def __init__(
        self,
        pace: StepRate,
        lengths: Sequence[int],
        *,
        prompt: int,
        launch: float = 0.0,
        others: int = 0,
        factor: float = 1.0,
    ) -> None:
        """
        Args:
            lengths: tokens of the race's branches.
            prompt: tokens before them.
            launch: seconds until the branches generate.
            others: branches of other races in the batch all along, with contexts like these.
            factor: on each step's time, where steps take longer now than when they were measured.
        """
        self._tokens, self._seconds = [0.0], [launch]
        ends = sorted(lengths)
        edges = {float(p) for p in pace.acceptance.positions if p > 0}
        knots = sorted(set(ends) | {e for e in edges if e < ends[-1]})
        start, ended = 0.0, 0
        for knot in knots:
            batch = len(ends) - ended + others
            while start < knot:
                end = min(knot, start + _MAX_PIECE)
                # Linear in the context but for the roof's edge: the middle is the mean.
                middle = (start + end) / 2
                each = pace.seconds_per_token(batch, prompt + middle, middle)
                self._tokens.append(end)
                self._seconds.append(self._seconds[-1] + factor * each * (end - start))
                start = end
            while ended < len(ends) and ends[ended] <= knot:
                ended += 1
        self._after = factor * pace.seconds_per_token(1 + others, prompt + start, start)

    def seconds(self, tokens: float) -> float:
        """Since the race began, when branches have generated ``tokens``."""
        if tokens >= self._tokens[-1]:
            return self._seconds[-1] + (tokens - self._tokens[-1]) * self._after
        right = bisect_right(self._tokens, max(0.0, tokens))
        return _between(tokens, self._tokens, self._seconds, right)

    def tokens(self, seconds: float) -> float:
        """That branches have generated then; 0 before they are launched."""
        if seconds >= self._seconds[-1]:
            return self._tokens[-1] + (seconds - self._seconds[-1]) / self._after
        if seconds <= self._seconds[0]:
            return 0.0
        right = bisect_right(self._seconds, seconds)
        return _between(seconds, self._seconds, self._tokens, right)


def _between(x: float, xs: Sequence[float], ys: Sequence[float], right: int) -> float:
    left = right - 1
    if xs[right] == xs[left]:
        return ys[left]
    return ys[left] + (x - xs[left]) * (ys[right] - ys[left]) / (xs[right] - xs[left])
