"""Choosing B, the method of speculation, K and the stop rule: a pure search over estimates.

``exhaustive`` looks at everything. ``greedy`` climbs as Algorithm 1 of "Faster and Better LLMs via
Latency-Aware Test-Time Scaling" (arXiv 2505.19634): from one branch without speculation, it extends
at each turn whichever of the two dimensions gains more by the deadline, until neither gains.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..simulation.cells import StrategySpec
from .estimating import Candidate, Estimate
from .schedule import KSchedule

Evaluate = Callable[[Candidate], Estimate]

#: Accuracy (share) below which a gain is none: then the cheaper candidate is as good. Where the
#: pilot is small, a gain below its standard error is none either (the one-standard-error rule,
#: Breiman et al., Classification and Regression Trees, 1984), up to the second figure.
TOLERANCE, MAX_TOLERANCE = 0.005, 0.015
#: Median times with this ratio or a greater one are the same.
_AS_EARLY = 0.95


@dataclass(frozen=True, slots=True)
class Speculation:
    """A method with its draft tokens."""

    method: str
    schedule: KSchedule

    @property
    def drafts(self) -> int:
        return self.schedule.most


@dataclass(frozen=True, slots=True)
class Space:
    """What is chosen from."""

    branches: tuple[int, ...]
    """Rising."""
    speculations: tuple[Speculation, ...]
    """None first."""
    stops: tuple[StrategySpec, ...]
    """The config's own first."""

    def candidate(self, branches: int, speculation: Speculation, stop: int = 0) -> Candidate:
        return Candidate(speculation.method, speculation.schedule, branches, self.stops[stop])


@dataclass(frozen=True, slots=True)
class Choice:
    """The best candidate, and what was looked at on the way."""

    best: Estimate
    seen: tuple[Estimate, ...]


def tolerance_between(one: Estimate, other: Estimate) -> float:
    """How much accuracy may differ between two that are as accurate as each other."""
    return min(MAX_TOLERANCE, max(TOLERANCE, one.gain_over(other)[1]))


def better(one: Estimate, other: Estimate) -> bool:
    """Whether ``one`` is to be preferred: more accurate by more than chance, or as accurate and
    earlier in the median, by a twentieth at least, or as early with fewer branches."""
    difference = one.accuracy - other.accuracy
    if abs(difference) > tolerance_between(one, other):
        return difference > 0
    if min(one.p50, other.p50) < _AS_EARLY * max(one.p50, other.p50):
        return one.p50 < other.p50
    return one.candidate.branches < other.candidate.branches


def best_of(estimates: Sequence[Estimate]) -> Estimate:
    """The preferred one: of all as accurate as the most accurate the earliest (by less
    than a twentieth: the one with the fewest branches)."""
    top = max(estimates, key=lambda e: e.accuracy)
    near = [e for e in estimates if e.accuracy >= top.accuracy - tolerance_between(top, e)]
    soonest = min(e.p50 for e in near)
    early = [e for e in near if e.p50 <= soonest / _AS_EARLY]
    return min(early, key=lambda e: (e.candidate.branches, -e.accuracy, e.p50))


def exhaustive(space: Space, evaluate: Evaluate) -> Choice:
    """All of B × speculation with the config's stop rule, then all stop rules at the best."""
    seen = [
        evaluate(space.candidate(branches, speculation))
        for speculation in space.speculations
        for branches in space.branches
    ]
    return _with_stops(space, evaluate, best_of(seen), seen)


def greedy(space: Space, evaluate: Evaluate) -> Choice:
    """The climb. A turn takes the next larger B, or the speculation with the next more draft tokens
    (of several methods the better), whichever is better; and the last when neither is."""
    rung = 0
    speculation = space.speculations[0]
    now = evaluate(space.candidate(space.branches[rung], speculation))
    seen = [now]
    while True:
        offers: list[tuple[Estimate, int, Speculation]] = []
        if rung + 1 < len(space.branches):
            wider = evaluate(space.candidate(space.branches[rung + 1], speculation))
            offers.append((wider, rung + 1, speculation))
        for further in next_speculations(space, speculation):
            deeper = evaluate(space.candidate(space.branches[rung], further))
            offers.append((deeper, rung, further))
        seen += [offer[0] for offer in offers]
        gaining = [offer for offer in offers if better(offer[0], now)]
        if not gaining:
            return _with_stops(space, evaluate, now, seen)
        chosen = best_of([offer[0] for offer in gaining])
        now, rung, speculation = next(offer for offer in gaining if offer[0] is chosen)


def next_speculations(space: Space, now: Speculation) -> list[Speculation]:
    """Those with the next more draft tokens than ``now``, of its own method if it has one."""
    more = [
        s
        for s in space.speculations
        if s.drafts > now.drafts and (now.drafts == 0 or s.method == now.method)
    ]
    found: list[Speculation] = []
    for method in dict.fromkeys(s.method for s in more):
        own = [s for s in more if s.method == method]
        least = min(s.drafts for s in own)
        found += [s for s in own if s.drafts == least]
    return found


def _with_stops(space: Space, evaluate: Evaluate, best: Estimate, seen: list[Estimate]) -> Choice:
    others = [evaluate(replace(best.candidate, strategy=stop)) for stop in space.stops[1:]]
    seen += others
    top = max((best, *others), key=lambda e: e.accuracy)
    # The config's rule is kept unless another is worth it.
    chosen = best
    for other in sorted(others, key=lambda e: -e.accuracy):
        near = other.accuracy >= top.accuracy - tolerance_between(top, other)
        if better(other, chosen) and near:
            chosen = other
    return Choice(chosen, tuple(seen))
