"""What stop rules compute, as plain functions of the votes.

Notation: ``leader`` and ``runner_up`` are the votes of the two answers in front (votes of
finished branches only), ``expected`` is the number of votes still expected before the deadline.
All are non-negative and ``leader >= runner_up``. Weighted votes come as they are, real numbers
with a mean of 1 a vote; every formula below is that of its source at whole numbers and continues
it in between.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import comb, exp, floor, lgamma, log, prod

_LOG_2 = log(2.0)


def clinched(leader: float, runner_up: float, expected: float) -> bool:
    """Whether the lead cannot even be drawn level by ``expected`` further votes.

    Permutation of past and future votes does not matter; always safe to stop on.
    """
    return leader > 0 and leader - runner_up > expected


def flip_risk(leader: float, runner_up: float, expected: int) -> float:
    """Probability that ``expected`` further votes put the runner-up in front of the leader.

    Pólya / Beta-binomial on the two answers in front: the leader's share theta among future votes
    for either has the posterior Beta(leader + 1, runner_up + 1) under a uniform prior; with k of m
    future votes for the runner-up,

        rho = sum_k C(m, k) B(v2 + k + 1, v1 + m - k + 1) / B(v1 + 1, v2 + 1) [v2 + k > v1 + m - k].

    The finite-horizon form of Adaptive-Consistency's Beta rule (arXiv 2305.11860): for
    ``expected`` going to infinity it tends to P(theta < 1/2). Zero exactly when the lead is at
    least ``expected``.
    """
    return _flip_risk(leader, runner_up, expected)


@lru_cache(maxsize=1 << 14)  # thousands of replayed races ask about the same few votes
def _flip_risk(leader: float, runner_up: float, expected: int) -> float:
    first = floor((leader - runner_up + expected) / 2) + 1
    if first > expected:
        return 0.0
    log_norm = _log_beta(leader + 1, runner_up + 1)
    total = sum(
        exp(
            _log_choose(expected, k)
            + _log_beta(runner_up + k + 1, leader + expected - k + 1)
            - log_norm
        )
        for k in range(first, expected + 1)
    )
    return min(1.0, total)


def majority_probability(leader: float, runner_up: float) -> float:
    """Probability that the leader is preferred to the runner-up: P(theta > 1/2).

    theta ~ Beta(leader + 1, runner_up + 1), in closed form
    sum_{k <= leader} C(n + 1, k) / 2^(n + 1) with n = leader + runner_up
    (Adaptive-Consistency's Beta rule, arXiv 2305.11860, without its quadrature).
    """
    if leader < runner_up:
        return 1.0 - _majority_probability(runner_up, leader)
    return _majority_probability(leader, runner_up)


def preference(leader: float, runner_up: float) -> float:
    """How likely the model prefers the leader to the runner-up, as the confidence of a decision:
    ``majority_probability``, but 1/2 for a single vote.

    One vote has nothing that it could agree or disagree with. That the Beta rule gives 3/4 there is
    its uniform prior over two answers, one of which happens to be the one that came: any first vote
    would have it, whatever it says. So a single vote is worth what a tie is.

    It is about the model, not about the world: how likely the leader is what all branches would
    have agreed on, and not how likely it is right.
    """
    return 0.5 if leader + runner_up <= 1 else majority_probability(leader, runner_up)


@lru_cache(maxsize=1 << 12)
def _majority_probability(leader: float, runner_up: float) -> float:
    if leader == runner_up:
        return 0.5
    if leader == int(leader) and runner_up == int(runner_up):
        n = int(leader) + int(runner_up) + 1
        return sum(comb(n, k) for k in range(int(leader) + 1)) / 2**n
    return 1.0 - _beta_below_half(leader + 1, runner_up + 1)


def leader_probability(votes: Sequence[float], top: int = 5) -> float:
    """Probability that the first of ``votes`` has the largest share: P(theta_1 = max_j theta_j).

    theta ~ Dirichlet(votes + 1) over the ``top`` answers (at least 2) with the most votes, the
    leader first (Adaptive-Consistency's Dirichlet rule, arXiv 2305.11860). With shares written as
    independent Gamma variables it is one integral,

        P = integral of f(x; v1 + 1) * prod_{j > 1} F(x; vj + 1) dx,

    f and F the density and the distribution function of Gamma(shape, 1). In log x the integrand
    is log-concave and analytic, so the trapezoidal rule converges exponentially: the error is far
    below 1e-9 (where the original's Monte Carlo integration has about 1e-2). An answer that has
    not been seen stands in where there is only one, so that up to two answers this is
    ``majority_probability``.
    """
    ranked = sorted(votes[1:], reverse=True)[: top - 1]
    if len(ranked) < 2:
        return majority_probability(votes[0], ranked[0] if ranked else 0)
    return _leader_probability(votes[0], tuple(ranked))


@lru_cache(maxsize=1 << 12)
def _leader_probability(leader: float, others: tuple[float, ...]) -> float:
    shape = leader + 1.0
    step = 0.25 / shape**0.5
    log_norm = lgamma(shape)

    def term(index: int) -> float:
        u = log(shape) + step * index
        x = exp(u)
        below = prod(_gamma_below(v + 1.0, x) for v in others)
        return exp(shape * u - x - log_norm) * below

    total = term(0)
    for direction in (1, -1):
        index, largest = direction, total
        while (value := term(index)) > 1e-17 * largest:
            total += value
            index += direction
    return min(1.0, total * step)


def sprt_log_ratio(leader: float, runner_up: float, alternative: float) -> float:
    """log P(votes | theta = alternative) / P(votes | theta = 1/2) for the two answers in front
    (ConSol's sequential probability ratio test, arXiv 2503.17587)."""
    return leader * log(alternative / 0.5) + runner_up * log((1.0 - alternative) / 0.5)


def log_pair_evidence(wins: float, losses: float) -> float:
    """Log of the e-value of "preferred" against "at most as frequent", for two answers.

    The uniform mixture over theta in (1/2, 1] of the likelihood ratio against theta = 1/2,

        E = 2^(m + 1) B(s + 1, f + 1) P(theta > 1/2),   m = s + f,

    with P the posterior of ``majority_probability``: so it is Adaptive-Consistency's statistic
    times a Bayes factor, and unlike it a test martingale, which may be watched after every vote.
    """
    return (
        (wins + losses + 1) * _LOG_2
        + _log_beta(wins + 1, losses + 1)
        + log(max(majority_probability(wins, losses), 1e-300))
    )


def _beta_below_half(a: float, b: float) -> float:
    """P(theta < 1/2) for theta ~ Beta(a, b): I_{1/2}(a, b), for a >= b by the series

    x^a (1 - x)^b / (a B(a, b)) * sum_n prod_{i < n} (a + b + i) / (a + 1 + i) x at x = 1/2,
    whose terms are all positive (DLMF 8.17.8).
    """
    term = total = 1.0
    n = 0
    while term > 1e-17 * total:
        term *= (a + b + n) / (a + 1 + n) / 2
        total += term
        n += 1
    return min(1.0, exp(-(a + b) * _LOG_2 - _log_beta(a, b)) / a * total)


def _gamma_below(shape: float, x: float) -> float:
    """P(X < x) for X ~ Gamma(shape, 1), by the series of DLMF 8.7.1; all terms are positive."""
    term = total = 1.0
    n = 1
    while term > 1e-17 * total:
        term *= x / (shape + n)
        total += term
        n += 1
    return min(1.0, exp(shape * log(x) - x - lgamma(shape + 1)) * total)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
