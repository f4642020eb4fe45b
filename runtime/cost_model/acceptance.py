"""How many tokens a step yields with speculation.

Draft tokens are taken to be accepted independently with one probability (Leviathan et al.,
arXiv 2211.17192), which changes along the output: it falls over thousands of tokens
(arXiv 2605.09329) and rises where an output repeats itself.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_HALVINGS = 50


@dataclass(frozen=True, slots=True)
class AcceptanceCount:
    """Steps that were seen with ``k`` draft tokens at a place of the output."""

    k: int
    position: int  # tokens generated before
    steps: int
    tokens: int  # that they yielded


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The probability in [0, 1] that a draft token is accepted, by position in the output."""

    positions: tuple[int, ...] = (0,)
    """Where each probability begins to hold; rising, the first is 0."""
    probabilities: tuple[float, ...] = (0.0,)
    batches: tuple[int, ...] = ()
    """Numbers of branches for which ``shares`` are known; rising."""
    shares: tuple[float, ...] = ()
    """Tokens accepted over what the probability says: a proposer may draft less the more branches
    run. Empty: as the probability says, with any number of branches."""

    def at(self, position: float) -> float:
        """The probability at a position in tokens."""
        return self.probabilities[max(0, bisect_right(self.positions, position) - 1)]

    def tokens_per_step(self, k: int, position: float = 0, batch: int = 1) -> float:
        """The acceptance length: expected tokens of a step, the model's own included."""
        accepted = expected_tokens(self.at(position), k) - 1.0
        return 1.0 + min(float(k), self._share(batch) * accepted)

    def _share(self, batch: int) -> float:
        """Between two numbers of branches interpolated, beyond them as at the nearest."""
        if not self.batches:
            return 1.0
        right = bisect_right(self.batches, batch)
        if right in (0, len(self.batches)):
            return self.shares[min(right, len(self.batches) - 1)]
        low, high = self.batches[right - 1], self.batches[right]
        before, after = self.shares[right - 1], self.shares[right]
        return before + (after - before) * (batch - low) / (high - low)


NOTHING_ACCEPTED = Acceptance()


def expected_tokens(probability: float, k: int) -> float:
    """``1 + a + … + a^k``."""
    return sum(probability**i for i in range(k + 1))


def fit_acceptance(counts: Sequence[AcceptanceCount], edges: Sequence[int] = (0,)) -> Acceptance:
    """The probabilities with which the counted steps would have yielded what they did.

    ``edges`` are where the bins of positions begin. A bin without a count is given that of the bin
    before it, the first one that of the next.
    """
    found: list[float | None] = []
    for start, end in zip(edges, (*edges[1:], float("inf")), strict=True):
        found.append(_probability([c for c in counts if c.k and start <= c.position < end]))
    known = next((p for p in found if p is not None), 0.0)
    filled: list[float] = []
    for probability in found:
        known = known if probability is None else probability
        filled.append(known)
    return Acceptance(tuple(edges), tuple(filled))


def _probability(counts: Sequence[AcceptanceCount]) -> float | None:
    if not any(c.steps for c in counts):
        return None
    tokens = sum(c.tokens for c in counts)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if sum(c.steps * expected_tokens(middle, c.k) for c in counts) < tokens:
            low = middle
        else:
            high = middle
    return (low + high) / 2
