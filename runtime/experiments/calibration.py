"""The reward threshold of ``best_of_n`` for a wanted precision, fitted to recorded scores.

A threshold makes one decision in each question that reaches it: the answer of the first branch, in
the order of arrival, whose score is at least the threshold. That is what ``best_of_n`` with
``rule="threshold"`` and ``pick="score"`` does, with as many branches as were recorded. Precision is
the share of these decisions that are right. As a question gives one decision and not one for each
branch, decisions are independent, and a binomial bound holds at a threshold named beforehand. The
threshold is chosen on the same questions, though: what it is worth is what held-out ones say.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from math import sqrt
from statistics import NormalDist
from typing import Any

from ..traces.recordings import RecordedBranch, RecordedQuestion


@dataclass(frozen=True, slots=True)
class Arrival:
    """A finished branch that could decide."""

    tokens: int
    """Its length, which is also when it arrives: branches advance at equal speed."""
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class ScoredQuestion:
    """What a threshold meets in one question."""

    arrivals: tuple[Arrival, ...]
    """In the order of arrival."""
    lengths: tuple[int, ...]
    """Tokens of all branches, also of those that could not decide; ascending."""

    def first_at(self, threshold: float) -> Arrival | None:
        """The decision; None: no branch reaches the threshold."""
        return next((a for a in self.arrivals if a.score >= threshold), None)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a threshold does to a set of questions. Shares are in [0, 1]."""

    questions: int
    stopped: int
    """Questions in which a branch reaches the threshold."""
    right: int
    """Those of them that are decided rightly."""
    precision: float | None
    """``right`` over ``stopped``; None: nothing reaches the threshold."""
    precision_bound: float | None
    """Its one-sided lower confidence bound; None: not asked for, or nothing to bound."""
    stopped_share: float
    branches_cut: float
    """Share of the branches that are stopped before their own end."""
    tokens_saved: float
    """Share of all branches' tokens that is not generated."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Fit:
    """The threshold that was chosen."""

    threshold: float
    reached: bool
    """Whether it has the precision asked for; if not, it is the one that comes closest."""
    smoothed: float
    """What was held against that precision: the smoothed precision at this threshold, or the lower
    bound of it."""


def scored_question(question: RecordedQuestion) -> ScoredQuestion | None:
    """What a threshold meets in ``question``, which must come from ``traces.unified``.

    A branch can decide if it ended by itself with an answer, has a score, and is known to be right
    or wrong. None: branches answered, but none of them can decide, so the question tells nothing.
    """
    answered = [
        b for b in question.branches if b.answer is not None and not b.lost and not b.truncated
    ]
    arrivals: list[Arrival] = []
    for branch in sorted(answered, key=lambda b: b.tokens):
        right = _right(question, branch)
        if branch.score is not None and right is not None:
            arrivals.append(Arrival(branch.tokens, branch.score, right))
    if answered and not arrivals:
        return None
    return ScoredQuestion(tuple(arrivals), tuple(sorted(b.tokens for b in question.branches)))


def _right(question: RecordedQuestion, branch: RecordedBranch) -> bool | None:
    if branch.answer in question.right:
        return True
    return None if question.gold is None and branch.correct is None else False


def split(
    questions: Sequence[ScoredQuestion], holdout: float, seed: int
) -> tuple[list[ScoredQuestion], list[ScoredQuestion]]:
    """Those to fit on, and the share ``holdout`` in (0, 1) of them to check on; neither is empty.

    Which is which depends on ``seed`` and on what is in the questions, not on their order.

    Raises:
        ValueError: there are fewer than two questions.
    """
    if len(questions) < 2:
        raise ValueError("a question to fit on and one to check on are needed at least")
    ranked = sorted(questions, key=lambda question: _digest(question, seed))
    held = min(max(1, round(holdout * len(ranked))), len(ranked) - 1)
    return ranked[held:], ranked[:held]


def _digest(question: ScoredQuestion, seed: int) -> bytes:
    seen = (seed, question.lengths, [(a.tokens, a.score) for a in question.arrivals])
    return sha256(repr(seen).encode()).digest()


def fit_threshold(
    questions: Sequence[ScoredQuestion], precision: float, confidence: float | None
) -> Fit:
    """The smallest threshold with a precision of at least ``precision``, in (0, 1).

    Candidates are the scores at which a decision changes: thresholds between two neighbours decide
    alike, and the upper end stands for them. Precision is smoothed over the candidates by isotonic
    regression (non-decreasing, weighted by the number of decisions; pool-adjacent-violators, Ayer
    et al. 1955, Annals of Mathematical Statistics 26), so that a low threshold with a lucky set of
    decisions, and worse ones above it, is not chosen. With a ``confidence`` it is the lower bound
    of the smoothed precision that must reach ``precision`` (see ``lower_bound``); None: the
    smoothed precision itself. The unsmoothed precision at the chosen threshold, and its bound, are
    never below the smoothed ones.

    Raises:
        ValueError: no branch of any question could decide.
    """
    candidates, decided, right = _decisions(questions)
    if not candidates:
        raise ValueError("no branch has a score and an answer known to be right or wrong")
    values = [
        share if confidence is None else lower_bound(share, count, confidence)
        for share, count in zip(isotonic(right, decided), decided, strict=True)
    ]
    for threshold, value in zip(candidates, values, strict=True):
        if value >= precision:
            return Fit(threshold, True, value)
    best = max(range(len(values)), key=values.__getitem__)
    return Fit(candidates[best], False, values[best])


def _decisions(questions: Sequence[ScoredQuestion]) -> tuple[list[float], list[int], list[int]]:
    """The candidates, ascending, with the number of decisions and of right ones at each."""
    # Only a branch with a better score than all before it is ever the first to reach a threshold.
    records: list[list[Arrival]] = []
    for question in questions:
        kept: list[Arrival] = []
        for arrival in question.arrivals:
            if not kept or arrival.score > kept[-1].score:
                kept.append(arrival)
        records.append(kept)
    candidates = sorted({arrival.score for kept in records for arrival in kept})
    # Each decides for the thresholds above the record before it, up to its own score.
    decided, right = [0] * (len(candidates) + 1), [0] * (len(candidates) + 1)
    for kept in records:
        start = 0
        for arrival in kept:
            end = bisect_left(candidates, arrival.score) + 1
            for counts, weight in ((decided, 1), (right, int(arrival.right))):
                counts[start] += weight
                counts[end] -= weight
            start = end
    return candidates, list(accumulate(decided))[:-1], list(accumulate(right))[:-1]


def isotonic(right: Sequence[int], decided: Sequence[int]) -> list[float]:
    """``right / decided``, pooled until it does not decrease."""
    blocks: list[tuple[int, int, int]] = []  # right, decided, how many candidates
    for block in zip(right, decided, [1] * len(right), strict=True):
        # In whole numbers, because equal shares must compare as equal.
        while blocks and blocks[-1][0] * block[1] > block[0] * blocks[-1][1]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    return [k / n for k, n, size in blocks for _ in range(size)]


def lower_bound(share: float, count: int, confidence: float) -> float:
    """The one-sided lower confidence bound of a binomial share observed in ``count`` > 0 trials.

    The score interval of Wilson (1927, Journal of the American Statistical Association 22) with
    continuity correction (Newcombe 1998, Statistics in Medicine 17, method 4), in closed form. The
    correction is there because the lower end of the plain interval is too high for shares near 1
    (Cai 2005, Journal of Statistical Planning and Inference 131): at 90 % confidence it fails in
    about 20 % of cases there, the corrected one in at most 10 %.

    Args:
        share: in [0, 1]; it need not be a whole number of ``count``.
        confidence: in [0.5, 1), of the one side.
    """
    z2 = NormalDist().inv_cdf(confidence) ** 2
    corrected = share - 0.5 / count
    if corrected <= 0.0:
        return 0.0
    centre = corrected + z2 / (2 * count)
    half = sqrt(z2 * (corrected * (1.0 - corrected) / count + z2 / (4 * count**2)))
    return (centre - half) / (1.0 + z2 / count)


def decisions_needed(precision: float, confidence: float) -> int:
    """How many decisions, all of them right, have ``precision`` in (0, 1) as their lower bound."""
    enough = 1
    while lower_bound(1.0, enough, confidence) < precision:
        enough *= 2
    return bisect_left(
        range(enough + 1), precision, lo=1, key=lambda n: lower_bound(1.0, n, confidence)
    )


def figures(
    questions: Sequence[ScoredQuestion], threshold: float, confidence: float | None
) -> Figures:
    """What ``threshold`` does to ``questions``, of which there is at least one."""
    stopped = right = generated = tokens = cut = branches = 0
    for question in questions:
        tokens += sum(question.lengths)
        branches += len(question.lengths)
        decision = question.first_at(threshold)
        if decision is None:
            generated += sum(question.lengths)
            continue
        stopped += 1
        right += decision.right
        generated += sum(min(length, decision.tokens) for length in question.lengths)
        cut += sum(length > decision.tokens for length in question.lengths)
    share = right / stopped if stopped else None
    return Figures(
        questions=len(questions),
        stopped=stopped,
        right=right,
        precision=share,
        precision_bound=None
        if share is None or confidence is None
        else lower_bound(share, stopped, confidence),
        stopped_share=stopped / len(questions),
        branches_cut=cut / branches if branches else 0.0,
        tokens_saved=1.0 - generated / tokens if tokens else 0.0,
    )
