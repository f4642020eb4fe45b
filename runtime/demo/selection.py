"""How well scores choose among branches: best of n, weighted vote, calibration."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scored:
    """One branch: its answer, its score, and whether the answer is right."""

    answer: str | None
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """Shares of problems answered rightly, in [0, 1], over races of equally many branches."""

    problems: int
    branches: int
    pass_at_1: float
    majority: float
    best_of_n: float  # the answer of the branch with the best score
    weighted_vote: float  # the answer with the largest sum of scores
    any_right: float  # what a perfect choice would reach
    auc: float  # probability that a right branch scores above a wrong one, ties half
    calibration_error: float  # mean distance of score and share right, over ten bins of scores


def select(races: Sequence[Sequence[Scored]]) -> Selection:
    """Figures over races of one problem each."""
    every = [branch for race in races for branch in race]
    return Selection(
        problems=len(races),
        branches=len(every) // len(races),
        pass_at_1=statistics.fmean(b.right for b in every),
        majority=statistics.fmean(_voted(race, weighted=False) for race in races),
        best_of_n=statistics.fmean(_best(race).right for race in races),
        weighted_vote=statistics.fmean(_voted(race, weighted=True) for race in races),
        any_right=statistics.fmean(any(b.right for b in race) for race in races),
        auc=auc([b.score for b in every], [b.right for b in every]),
        calibration_error=calibration_error(every),
    )


def auc(scores: Sequence[float], right: Sequence[bool]) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney U); 0.5 where only one kind is there."""
    positives = sum(right)
    negatives = len(right) - positives
    if not positives or not negatives:
        return 0.5
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    rank_sum, start = 0.0, 0
    while start < len(order):
        end = start
        while end < len(order) and scores[order[end]] == scores[order[start]]:
            end += 1
        shared = (start + 1 + end) / 2  # ranks from 1; equal scores share their mean
        rank_sum += shared * sum(right[i] for i in order[start:end])
        start = end
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def calibration_error(branches: Sequence[Scored], bins: int = 10) -> float:
    """Expected calibration error over equal-width bins of [0, 1] (Guo et al., arXiv 1706.04599)."""
    groups: list[list[Scored]] = [[] for _ in range(bins)]
    for branch in branches:
        groups[min(bins - 1, max(0, int(branch.score * bins)))].append(branch)
    return sum(
        len(group)
        / len(branches)
        * abs(statistics.fmean(b.score for b in group) - statistics.fmean(b.right for b in group))
        for group in groups
        if group
    )


def _best(race: Sequence[Scored]) -> Scored:
    answered = [b for b in race if b.answer is not None] or list(race)
    return max(answered, key=lambda b: b.score)


def _voted(race: Sequence[Scored], *, weighted: bool) -> bool:
    votes: Counter[str] = Counter()
    for branch in race:
        if branch.answer is not None:
            votes[branch.answer] += branch.score if weighted else 1  # type: ignore[assignment]
    if not votes:
        return False
    leader = max(votes, key=lambda answer: votes[answer])
    return any(b.right for b in race if b.answer == leader)
