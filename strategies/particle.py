"""Particle filtering over steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil, exp, inf, log
from random import Random
from typing import Literal

from .scores import Pick, Scores, check_pick
from .step_search import Candidate, SearchesSteps, Selection, StepSearch, check_search

Resampling = Literal["systematic", "multinomial"]

#: Scores are kept this far from 0 and 1, where their logit is infinite.
_MARGIN = 1e-6


def logit(score: float) -> float:
    """log(score / (1 - score)), of a score clipped to [1e-6, 1 - 1e-6]."""
    score = min(1.0 - _MARGIN, max(_MARGIN, score))
    return log(score / (1.0 - score))


def softmax(values: Sequence[float], copies: Sequence[int]) -> list[float]:
    """exp(value), times how often it counts, normalised to 1."""
    highest = max(values)
    weights = [n * exp(value - highest) for value, n in zip(values, copies, strict=True)]
    total = sum(weights)
    return [weight / total for weight in weights]


def effective_size(weights: Sequence[float], copies: Sequence[int]) -> float:
    """Effective sample size 1 / sum w^2 over particles, of which ``copies`` share one weight."""
    return 1.0 / sum(w * w / n for w, n in zip(weights, copies, strict=True))


def systematic(weights: Sequence[float], count: int, offset: float) -> list[int]:
    """How often each is drawn in ``count`` draws at the points (offset + k) / count of the
    cumulated weights. For a uniform ``offset`` in [0, 1) the expectation is ``count * weight``,
    and each number differs from it by less than 1.
    """
    edges = list(accumulate(weights))
    # Points below an edge: the least k with (offset + k) / count >= edge, all below the last one.
    below = [
        min(count, max(0, ceil(edge / edges[-1] * count - offset))) if edge < edges[-1] else count
        for edge in edges
    ]
    return [high - low for low, high in zip([0, *below], below, strict=False)]


def multinomial(weights: Sequence[float], count: int, random: Random) -> list[int]:
    """How often each is drawn in ``count`` independent draws."""
    drawn = [0] * len(weights)
    for index in random.choices(range(len(weights)), weights, k=count):
        drawn[index] += 1
    return drawn


@dataclass(slots=True)
class ParticleFilter(SearchesSteps):
    """Particle filtering (Puri et al., arXiv 2502.01618), without a barrier (see ``step_search``).

    After each step every particle has the weight softmax(logit(score) / temperature), and all are
    drawn anew by weight: a particle drawn n times goes on as n forks from the end of the step, one
    not drawn is cut. A finished particle is drawn like the others; it stays a candidate whether
    drawn or not.

    Args:
        branches: particles.
        temperature: of the weights; 1 makes them the odds of the score, more evens them out.
        ess_fraction: draw anew only when the effective sample size 1 / sum w^2 is below this share
            of the particles, in [0, 1]; 1 draws at every step, as published.
        resampling: ``systematic``, which spreads least, or ``multinomial``, as published.
        seed: of the draws.
        delimiter: the text that ends a step; often a blank line.
        patience: tokens that a scored particle may generate beyond its step before the round is
            closed without the slower ones, which then go on as they are.
        max_steps: rounds at most; then the particles left run to their ends.
        max_launches: branches ever launched, forks included.
        pick: the answer of the best final score (the largest weight), or the one with the largest
            sum of weights, here odds^(1 / temperature).
        force_answers: whether particles without an answer are forced to give one at the call time,
            if no finished answer leads by then.

    The decision's confidence is its best score, clipped to [0, 1], or its share of the weights.

    Raises:
        ValueError: for parameters out of range.
    """

    branches: int = 16
    temperature: float = 1.0
    ess_fraction: float = 0.5
    resampling: Resampling = "systematic"
    seed: int = 0
    delimiter: str = "\n\n"
    patience: int = 128
    max_steps: int = 100
    max_launches: int = 512
    pick: Pick = "score"
    force_answers: bool = True
    _random: Random = field(init=False, repr=False, compare=False)
    _search: StepSearch = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_search(
            self.branches, self.delimiter, self.patience, self.max_steps, self.max_launches
        )
        if not 0.0 < self.temperature < inf:
            raise ValueError("temperature must be above 0")
        if not 0.0 <= self.ess_fraction <= 1.0:
            raise ValueError("ess_fraction must lie in [0, 1]")
        if self.resampling not in ("systematic", "multinomial"):
            raise ValueError("resampling must be one of systematic, multinomial")
        check_pick(self.pick)
        self._random = Random(self.seed)
        self._search = StepSearch(
            self.branches,
            Scores(self.pick, self.force_answers, self._weight),
            self._resample,
            self.delimiter,
            self.patience,
            self.max_steps,
            self.max_launches,
        )

    def _weight(self, score: float) -> float:
        # Relative to the largest there is, which keeps small temperatures finite.
        return exp((logit(score) - logit(1.0)) / self.temperature)

    def _resample(self, candidates: Sequence[Candidate], room: int) -> Selection:
        copies = [c.places for c in candidates]
        weights = softmax([logit(c.score) / self.temperature for c in candidates], copies)
        if self.ess_fraction < 1.0 and effective_size(weights, copies) >= self.ess_fraction * sum(
            copies
        ):
            return Selection({c.branch: c.places for c in candidates})
        if self.resampling == "systematic":
            drawn = systematic(weights, room, self._random.random())
        else:
            drawn = multinomial(weights, room, self._random)
        return Selection({c.branch: n for c, n in zip(candidates, drawn, strict=True)})
