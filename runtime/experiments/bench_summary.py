"""The figures of a benchmark: a row a cell, with intervals over questions (see ``intervals``)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .bench import BenchCell, BenchRace
from .intervals import Bootstrap, Interval, numpy

if TYPE_CHECKING:
    from .intervals import Array


@dataclass(frozen=True, slots=True)
class BenchRow:
    """A cell in figures. Shares are in [0, 1], times in seconds as callers measured them. What is
    compared with the baseline is None for the baseline itself."""

    config: str
    strategy: str
    branches: int
    deadline: float
    users: int
    questions: int
    races: int
    accuracy: float
    """Who has not answered, or not in time, counts as wrong."""
    accuracy_interval: Interval
    answered: float
    late: float
    """Share of the races whose result came after the deadline."""
    overshoot_max: float
    """The most by which one was late; 0: none was."""
    elapsed_mean: float
    elapsed_p50: float
    elapsed_p50_interval: Interval
    elapsed_p95: float
    elapsed_p95_interval: Interval
    tokens_mean: float
    tokens_per_right: float | None
    """Tokens of all races over the number of right answers; None: none was right."""
    tokens_per_right_interval: Interval | None
    satisfied: float
    """Share of the races that were right, in time, and within the budget of tokens."""
    satisfied_interval: Interval
    stop_reasons: Mapping[str, float]
    """Share of the races by reason."""
    baseline: str | None = None
    accuracy_difference: float | None = None
    accuracy_difference_interval: Interval | None = None
    speedup: float | None = None
    """The baseline's mean time over this one's."""
    speedup_interval: Interval | None = None
    times: tuple[float, ...] = field(default=(), repr=False)
    """The times of all races, sorted."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON and CSV, without ``times``."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "times"}

    @property
    def label(self) -> str:
        """What the cell is called in a plot."""
        return f"{self.config} {self.strategy} B={self.branches}".strip()


def bench_rows(
    races: Sequence[BenchRace],
    cells: Sequence[BenchCell],
    *,
    baseline: str,
    budget: int | None = None,
) -> list[BenchRow]:
    """The rows of ``cells``, of the questions that all of them have raced; none if there is no such
    question.

    Args:
        races: in any order; those of other cells are left out.
        cells: in the order of the table.
        baseline: the strategy that the others are compared with, at the same config, number of
            branches, deadline and number of users.
        budget: tokens that a race may take and still satisfy; None: any number.

    Raises:
        BadRequest: numpy is missing.
    """
    by_cell: dict[BenchCell, dict[int, list[BenchRace]]] = {cell: {} for cell in cells}
    once = {(race.cell, race.question, race.round): race for race in races}
    for race in sorted(once.values(), key=lambda race: (race.question, race.round)):
        if race.cell in by_cell:
            by_cell[race.cell].setdefault(race.question, []).append(race)
    shared = set.intersection(*(set(of) for of in by_cell.values())) if by_cell else set()
    if not shared:
        return []
    rounds = min(len(of[q]) for of in by_cell.values() for q in shared)
    values = {
        cell: _Values.of([of[q][:rounds] for q in sorted(shared)], budget)
        for cell, of in by_cell.items()
    }
    intervals = Bootstrap(len(shared))
    rows: list[BenchRow] = []
    for cell, own in values.items():
        base_cell = BenchCell(cell.config, baseline, cell.branches, cell.deadline, cell.users)
        base = values.get(base_cell) if base_cell != cell else None
        rows.append(_row(cell, own, base, baseline, intervals))
    return rows


@dataclass(slots=True)
class _Values:
    """What came of a cell's races; arrays have the shape (questions, rounds)."""

    races: list[BenchRace]
    right: "Array"
    elapsed: "Array"
    tokens: "Array"
    satisfied: "Array"

    @classmethod
    def of(cls, races: Sequence[Sequence[BenchRace]], budget: int | None) -> "_Values":
        np = numpy()

        def array(value: Any) -> "Array":
            return np.array([[float(value(race)) for race in of] for of in races])

        def right(race: BenchRace) -> bool:
            return race.right and not race.late

        return cls(
            [race for of in races for race in of],
            array(right),
            array(_took),
            array(lambda race: race.tokens),
            array(lambda race: right(race) and (budget is None or race.tokens <= budget)),
        )


def _took(race: BenchRace) -> float:
    """Seconds until the caller had an answer; one who is refused has none by the deadline."""
    return race.elapsed if race.error is None else race.deadline


def _row(
    cell: BenchCell, own: _Values, base: _Values | None, baseline: str, intervals: Bootstrap
) -> BenchRow:
    np = numpy()
    right, elapsed, tokens = own.right.mean(1), own.elapsed.mean(1), own.tokens.mean(1)
    satisfied = own.satisfied.mean(1)
    p50, p95 = np.quantile(own.elapsed, [0.5, 0.95])
    reasons = Counter(race.stop_reason for race in own.races)
    paired: dict[str, Any] = {}
    if base is not None:
        difference = right - base.right.mean(1)
        paired = {
            "baseline": baseline,
            "accuracy_difference": float(difference.mean()),
            "accuracy_difference_interval": intervals.mean(difference),
            "speedup": float(base.elapsed.mean() / elapsed.mean()),
            "speedup_interval": intervals.ratio(base.elapsed.mean(1), elapsed),
        }
    late = [race for race in own.races if race.late]
    hits = bool(right.any())
    return BenchRow(
        config=cell.config,
        strategy=cell.strategy,
        branches=cell.branches,
        deadline=cell.deadline,
        users=cell.users,
        questions=len(right),
        races=len(own.races),
        accuracy=float(right.mean()),
        accuracy_interval=intervals.mean(right),
        answered=sum(race.answer is not None for race in own.races) / len(own.races),
        late=len(late) / len(own.races),
        overshoot_max=max((race.elapsed - race.deadline for race in late), default=0.0),
        elapsed_mean=float(elapsed.mean()),
        elapsed_p50=float(p50),
        elapsed_p50_interval=intervals.quantile(own.elapsed, 0.5),
        elapsed_p95=float(p95),
        elapsed_p95_interval=intervals.quantile(own.elapsed, 0.95),
        tokens_mean=float(tokens.mean()),
        tokens_per_right=float(tokens.mean() / right.mean()) if hits else None,
        tokens_per_right_interval=intervals.ratio(tokens, right) if hits else None,
        satisfied=float(satisfied.mean()),
        satisfied_interval=intervals.mean(satisfied),
        stop_reasons={reason: n / len(own.races) for reason, n in reasons.most_common()},
        times=tuple(sorted(map(_took, own.races))),
        **paired,
    )
