"""How long branches get: a log-normal model of a branch's length in tokens.

Stop rules ask it how many running branches will finish before the deadline. It learns from
finished branches and, as censored data, from those that were cancelled, forced or cut at their
token limit; ignoring those would make branches look shorter and shorter, since they are the long
ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, exp, log, sqrt
from statistics import NormalDist, fmean

_STANDARD = NormalDist()


@dataclass(frozen=True, slots=True)
class LengthModel:
    """log(length in tokens) ~ Normal(``mu``, ``sigma``), known as if from ``weight`` branches."""

    mu: float
    sigma: float
    weight: float = 8.0

    @classmethod
    def from_quantiles(cls, median: float, p95: float, weight: float = 8.0) -> "LengthModel":
        """From the median and the 95th percentile, in tokens.

        Raises:
            ValueError: unless 0 < median < p95.
        """
        if not 0 < median < p95:
            raise ValueError("lengths need 0 < median < p95")
        return cls(log(median), log(p95 / median) / _STANDARD.inv_cdf(0.95), weight)

    @classmethod
    def fit(cls, finished: Sequence[int], censored: Sequence[int] = ()) -> "LengthModel":
        """From observed lengths alone (at least one finished)."""
        logs = [log(max(1, n)) for n in finished]
        mu = fmean(logs)
        # Not by statistics.pstdev, whose exact fractions take ten times as long: races ask for it.
        sigma = sqrt(fmean((n - mu) ** 2 for n in logs)) if len(logs) > 1 else 0.3
        start = cls(mu, max(0.1, sigma), float(len(logs)))
        return start.updated((), censored)

    @property
    def median(self) -> float:
        return exp(self.mu)

    def quantile(self, q: float) -> float:
        """The length in tokens that a share ``q`` of the branches does not exceed; 0 < q < 1."""
        return exp(self.mu + self.sigma * _STANDARD.inv_cdf(q))

    def arrival_probability(self, tokens: int, reachable: float) -> float:
        """P(length <= tokens + reachable | length > tokens)."""
        alive = 1.0 - self._cdf(tokens)
        if alive <= 1e-9:
            # Longer than anything known: no reason to expect it any moment.
            return 0.5
        return max(0.0, min(1.0, (self._cdf(tokens + reachable) - self._cdf(tokens)) / alive))

    def expected_length(self, tokens: int) -> float:
        """E[length | length > tokens], in tokens."""
        if tokens <= 0:
            return exp(self.mu + self.sigma**2 / 2)
        z = (log(tokens) - self.mu) / self.sigma
        alive = 1.0 - _STANDARD.cdf(z)
        if alive <= 1e-9:
            return tokens * 1.1
        return exp(self.mu + self.sigma**2 / 2) * _STANDARD.cdf(self.sigma - z) / alive

    def updated(self, finished: Iterable[int], censored: Iterable[int] = ()) -> "LengthModel":
        """The model after seeing lengths of ``finished`` branches and of ``censored`` ones.

        A censored branch counts with the mean and variance of log(length) above its cut (one
        step of expectation-maximisation). Weight is capped, so that the model follows its time.
        """
        moments = [(log(max(1, n)), 0.0) for n in finished]
        moments += [self._log_tail(n) for n in censored]
        if not moments:
            return self
        total = self.weight + len(moments)
        mu = (self.weight * self.mu + sum(m for m, _ in moments)) / total
        spread = self.weight * (self.sigma**2 + (self.mu - mu) ** 2)
        spread += sum(v + (m - mu) ** 2 for m, v in moments)
        return LengthModel(mu, max(0.05, sqrt(spread / total)), min(total, 256.0))

    def _cdf(self, tokens: float) -> float:
        return _STANDARD.cdf((log(tokens) - self.mu) / self.sigma) if tokens > 0 else 0.0

    def _log_tail(self, tokens: int) -> tuple[float, float]:
        """Mean and variance of log(length) given length > tokens (truncated normal)."""
        if tokens <= 0:
            return self.mu, self.sigma**2
        z = (log(tokens) - self.mu) / self.sigma
        alive = 1.0 - _STANDARD.cdf(z)
        if alive <= 1e-9:
            return log(tokens), 0.0
        hazard = _STANDARD.pdf(z) / alive
        mean = self.mu + self.sigma * hazard
        return mean, self.sigma**2 * max(0.0, 1.0 + z * hazard - hazard**2)


def expected_arrivals(
    running: Sequence[int], reachable: float | None, lengths: LengthModel | None
) -> int:
    """How many running branches to expect before the race must end, rounded up.

    ``running`` holds their tokens so far. Without a length model or a measured speed every one of
    them is expected: the cautious assumption, since it delays the call.
    """
    if lengths is None or reachable is None:
        return len(running)
    if reachable <= 0:
        return 0
    total = sum(lengths.arrival_probability(tokens, reachable) for tokens in running)
    # A tenth of a vote is not worth waiting for; anything more counts as one.
    return max(0, ceil(total - 0.1))
