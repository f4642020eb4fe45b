"""Stop rules as plain functions of the vote counts.

Notation: ``leader`` and ``runner_up`` are the votes of the two answers in front (votes of
finished branches only), ``expected`` is the number of votes still expected before the deadline.
All counts are non-negative and ``leader >= runner_up``.
"""

from math import comb, exp, lgamma


def clinched(leader: int, runner_up: int, expected: int) -> bool:
    """Whether the lead cannot even be drawn level by ``expected`` further votes.

    Permutation of past and future votes does not matter; always safe to stop on.
    """
    return leader > 0 and leader - runner_up > expected


def flip_risk(leader: int, runner_up: int, expected: int) -> float:
    """Probability that ``expected`` further votes put the runner-up in front of the leader.

    Pólya / Beta-binomial on the two answers in front: the leader's share theta among future votes
    for either has the posterior Beta(leader + 1, runner_up + 1) under a uniform prior; with k of m
    future votes for the runner-up,

        rho = sum_k C(m, k) B(v2 + k + 1, v1 + m - k + 1) / B(v1 + 1, v2 + 1) [v2 + k > v1 + m - k].

    The finite-horizon form of Adaptive-Consistency's Beta rule (arXiv 2305.11860): for
    ``expected`` going to infinity it tends to P(theta < 1/2). Zero exactly when the lead is at
    least ``expected``.
    """
    first = (leader - runner_up + expected) // 2 + 1
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


def majority_probability(leader: int, runner_up: int) -> float:
    """Probability that the leader is preferred to the runner-up: P(theta > 1/2).

    theta ~ Beta(leader + 1, runner_up + 1), in closed form
    sum_{k <= leader} C(n + 1, k) / 2^(n + 1) with n = leader + runner_up
    (Adaptive-Consistency's Beta rule, arXiv 2305.11860, without its quadrature).
    """
    n = leader + runner_up + 1
    return sum(comb(n, k) for k in range(leader + 1)) / 2**n


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
