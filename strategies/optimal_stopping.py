"""Optimal stopping of a search for the best score, as plain functions.

Weitzman's rule for Pandora's boxes, which arXiv 2510.01394 applies to best-of-n: a box that costs
``c`` to open is worth opening as long as the best score so far is below its fair cap tau,

    E[(v - tau)+] = c.

Branches that run in parallel are not opened one by one. What costs is to wait, and waiting brings
all the branches that end meanwhile: the price of one more score is the waiting for it, in the
cheapest way (``wait_per_arrival``), times the price of waiting. With the sum of the excesses of
several branches for the excess of their best, which it is never below, stopping errs on the side of
patience.
"""

from collections.abc import Sequence
from math import erfc, exp, inf, pi, sqrt

from .lengths import LengthModel

#: What is believed of a score in [0, 1] before any is seen: uniform, worth two observations.
_PRIOR_MEAN, _PRIOR_VARIANCE, _PRIOR_WEIGHT = 1 / 2, 1 / 12, 2.0
#: Lengths at which waiting is priced, evenly spaced in their logarithm.
_HORIZONS = 24
#: Length that no branch is expected to reach, in standard deviations of its logarithm.
_LONGEST = 5.9


def expected_excess(level: float, mean: float, deviation: float) -> float:
    """E[(v - level)+] for v ~ Normal(``mean``, ``deviation``^2):
    s (phi(z) - z (1 - Phi(z))) with z = (level - mean) / s."""
    certain = max(0.0, mean - level)
    distance = abs(level - mean)
    if distance >= 40 * deviation:
        return certain
    # In the upper tail, where nothing cancels: the excess at -z is z more than that at z.
    z = distance / deviation
    density = exp(-z * z / 2) / sqrt(2 * pi)
    return certain + max(0.0, deviation * (density - z * erfc(z / sqrt(2)) / 2))


def fair_cap(cost: float, mean: float, deviation: float) -> float:
    """The tau at which the expected excess of a Normal score is ``cost``.

    Infinite for a cost of nothing or less: one always goes on.
    """
    if cost <= 0:
        return inf
    if cost == inf:
        return -inf
    # The excess is never below ``mean - level``, and practically nothing 40 deviations above.
    low, high = mean - cost, mean + 40 * deviation
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if expected_excess(middle, mean, deviation) > cost:
            low = middle
        else:
            high = middle
    return high


def predicted_score(scores: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of the next score in [0, 1] after these.

    Normal scores with an uncertain mean, on top of a prior of two observations of a uniform one:
    the variance starts as the uniform's, which is wider than that of most reward models, and
    carries the uncertainty of the mean (1 + 1/n).
    """
    total = _PRIOR_WEIGHT + len(scores)
    mean = (_PRIOR_WEIGHT * _PRIOR_MEAN + sum(scores)) / total
    spread = _PRIOR_WEIGHT * (_PRIOR_VARIANCE + (mean - _PRIOR_MEAN) ** 2)
    spread += sum((score - mean) ** 2 for score in scores)
    return mean, sqrt(spread / total * (1 + 1 / total))


def normal_threshold(scores: Sequence[float], cost: float) -> float:
    """The best score at which to stop after ``scores``, if the next is Normal, clipped at 1.

    E[(min(v, 1) - tau)+] = E[(v - tau)+] - E[(v - 1)+], so it is the fair cap of a higher cost.
    """
    mean, deviation = predicted_score(scores)
    return min(1.0, fair_cap(cost + expected_excess(1.0, mean, deviation), mean, deviation))


def any_threshold(seen: int, cost: float) -> float:
    """The best of ``seen`` scores at which to stop, whatever the distribution on [0, 1].

    If scores are exchangeable, the next is a new record with a probability of at most
    1 / (seen + 1), and then by no more than what is left to 1: (1 - best) / (seen + 1) bounds its
    expected excess.
    """
    return 1.0 - cost * (seen + 1)


def wait_per_arrival(
    running: Sequence[int], reachable: float | None, lengths: LengthModel | None
) -> float:
    """Tokens that each branch generates for one expected arrival, waiting as long as is cheapest.

    min over t of t / sum_i P(length_i <= tokens_i + t | length_i > tokens_i), up to ``reachable``;
    infinite if none is to be expected, nothing if nothing is known about lengths.

    Args:
        running: tokens so far of the running branches.
        reachable: tokens that one can still generate in time; None: unknown.
        lengths: how long branches get; None: nothing known.
    """
    if not running or (reachable is not None and reachable < 1):
        return inf
    if lengths is None:
        return 0.0
    # Beyond that nothing is known about lengths; such a branch may as well never end.
    longest = exp(lengths.mu + _LONGEST * lengths.sigma)
    hopeful = [tokens for tokens in running if tokens < longest]
    farthest = longest if reachable is None else min(reachable, longest)
    if not hopeful or farthest < 1:
        return inf
    cheapest = inf
    for step in range(_HORIZONS + 1):
        horizon = farthest ** (step / _HORIZONS)
        arrivals = sum(lengths.arrival_probability(tokens, horizon) for tokens in hopeful)
        if arrivals > 0:
            cheapest = min(cheapest, horizon / arrivals)
    return cheapest
