"""What a confidence is worth: fitted to races over recorded branches of questions whose answers are
known.

The races are replayed with the strategy and the number of branches that are to be used, many times
with the branches in another order, and without a deadline as well as with ones that let a quarter,
half and three quarters of the branches finish, so that those decided by forced answers alone are
there as well. Accuracy over confidence is isotonic regression (``calibration.isotonic``), each
share drawn towards 1/2 by one race either way: few races prove nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from frontrunner.strategies.votes import tally

from ..racing.accuracy_map import AccuracyMap, AccuracyStep
from ..simulation.cells import StrategySpec
from ..simulation.recorded_draws import FreshStrategies, RecordedDraws
from ..simulation.simulated_race import SimulatedRace, Timing
from ..traces.recordings import RecordedQuestion
from .calibration import isotonic

#: Shares of the branches that the deadlines let finish, beside none at all.
_FINISHED_SHARES = (0.25, 0.5, 0.75)
#: Confidences are told apart to so many digits.
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """How one race came out."""

    confidence: float
    forced: bool
    right: bool


def seen_races(
    questions: Sequence[RecordedQuestion],
    strategy: StrategySpec,
    branches: int,
    draws: int,
    seed: int,
) -> list[list[Seen]]:
    """Races that came to an answer, by question.

    Raises:
        BadRequest: there is no such strategy.
        CannotReplay: it needs what was not recorded.
    """
    recorded, fresh = RecordedDraws(questions, seed), FreshStrategies()
    found: list[list[Seen]] = []
    for number, question in enumerate(questions):
        found.append([])
        probed = all(b.probes is not None for b in question.branches)
        lengths = sorted(b.tokens for b in question.branches)
        cuts = [lengths[int(at * len(lengths))] + 0.5 for at in _FINISHED_SHARES if probed]
        for draw in range(draws):
            records = recorded.order(number, draw)[:branches]
            for deadline in (inf, *cuts):
                made = fresh.create(strategy, branches, forced=True)
                known = recorded.pooled_lengths(number) if deadline < inf else None
                race = SimulatedRace(made, records, Timing(deadline), lengths=known)
                decision = race.run().decision
                if decision.answer is not None:
                    forced = not tally(race.view).finished
                    right = decision.answer in question.right
                    found[-1].append(Seen(decision.confidence, forced, right))
    return found


def fit_accuracy(
    seen: Sequence[Sequence[Seen]], strategy: StrategySpec, branches: int
) -> AccuracyMap:
    """What confidences were worth in these races."""
    races = [race for of_question in seen for race in of_question]
    return AccuracyMap(
        _steps([r for r in races if not r.forced]),
        _steps([r for r in races if r.forced]),
        strategy.label,
        branches,
        len(seen),
    )


def _steps(races: Sequence[Seen]) -> tuple[AccuracyStep, ...]:
    counts: defaultdict[float, list[int]] = defaultdict(lambda: [0, 0])
    for race in races:
        at = counts[round(race.confidence, _DIGITS)]
        at[0] += race.right
        at[1] += 1
    known = sorted(counts)
    right, decided = [counts[c][0] for c in known], [counts[c][1] for c in known]
    steps: list[AccuracyStep] = []
    for confidence, share, n in zip(known, isotonic(right, decided), decided, strict=True):
        if steps and steps[-1].accuracy == share:
            last = steps.pop()
            steps.append(AccuracyStep(last.confidence, share, last.races + n))
        else:
            steps.append(AccuracyStep(confidence, share, n))
    return tuple(
        AccuracyStep(s.confidence, (s.accuracy * s.races + 1) / (s.races + 2), s.races)
        for s in steps
    )


def calibration_error(seen: Sequence[Sequence[Seen]], known: AccuracyMap | None) -> float | None:
    """The mean distance, over races, between what is said of their accuracy and the share that was
    right among those of which the same is said (expected calibration error, tenths for bins).

    Args:
        known: what says it; None: the confidence itself.
    """
    bins: defaultdict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for race in (race for of_question in seen for race in of_question):
        said = race.confidence
        if known is not None:
            estimate = known.estimate(said, forced=race.forced)
            if estimate is None:
                continue
            said = estimate
        sums = bins[min(9, int(10 * said))]
        sums[0] += said
        sums[1] += race.right
        sums[2] += 1
    races = sum(n for _, _, n in bins.values())
    return sum(abs(a - b) for a, b, _ in bins.values()) / races if races else None
