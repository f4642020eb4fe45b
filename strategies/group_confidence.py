"""DeepConf's measure of how sure a branch was (arXiv 2508.15260).

The confidence of a token is the negative mean of the top-k log probabilities at its position
(k = 20 as published): high where the model puts nearly all probability on one token. Group
confidence is its mean over the last ``window`` tokens, and the lowest group confidence of a branch
marks where it was least sure.
"""

from collections.abc import Sequence

#: In nats. A token of probability e^-100 is as good as impossible; engines that mask such tokens
#: report minus infinity, which would make every mean infinite.
_MOST = 100.0


class GroupConfidence:
    """The group confidence of one branch, kept up token by token, each in constant time.

    Args:
        window: tokens a group; published 2048.
    """

    __slots__ = ("_lowest", "_seen", "_sum", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._seen = 0
        self._sum = 0.0  # over the last window, or over all as long as there are fewer
        self._lowest: float | None = None

    def take(self, confidences: Sequence[float]) -> None:
        """Take in what is new; ``confidences`` (num_tokens,) holds those of all tokens so far."""
        window = self._window
        for i in range(self._seen, len(confidences)):
            self._sum += min(_MOST, confidences[i])
            if i >= window:
                self._sum -= min(_MOST, confidences[i - window])
            if i >= window - 1:
                mean = self._sum / window
                if self._lowest is None or mean < self._lowest:
                    self._lowest = mean
        self._seen = len(confidences)

    @property
    def lowest(self) -> float | None:
        """The lowest group confidence so far; None before the first full group."""
        return self._lowest

    @property
    def score(self) -> float | None:
        """That of the branch as it stands: the lowest, or of a branch shorter than a group the
        mean of its tokens; None without any."""
        if self._lowest is not None:
            return max(0.0, self._lowest)
        return max(0.0, self._sum / self._seen) if self._seen else None


def percentile(values: Sequence[float], rank: float) -> float:
    """The ``rank``-th percentile (0 to 100) of at least one value, interpolated linearly."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * rank / 100.0
    below = min(int(position), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
