"""Rows of figures out of a replay, with paired intervals (see ``intervals``).

Differences between cells are taken within each question. Draws of branches are the same in all
cells, so they pair, too.
"""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from ..simulation.cells import Cell, StrategySpec
from .intervals import Bootstrap, Interval, numpy
from .replay import Figures, Replayed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CLAIRVOYANT = "clairvoyant"


@dataclass(frozen=True, slots=True)
class Row:
    """A cell in figures. Shares are in [0, 1]; times in tokens, or in seconds if a token has
    a time. What is compared with the baseline is None for rows without one."""

    strategy: str
    branches: int
    deadline: float | None
    forced: bool
    questions: int
    draws: int
    accuracy: float
    accuracy_interval: Interval
    latency_mean: float
    latency_interval: Interval
    latency_p50: float
    latency_p95: float
    tokens_mean: float
    branches_cut: float
    """Share of the branches that did not run to their own end."""
    baseline: str | None
    accuracy_difference: float | None = None
    """Accuracy minus the baseline's."""
    accuracy_difference_interval: Interval | None = None
    speedup: float | None = None
    """The baseline's mean latency over this one's."""
    speedup_interval: Interval | None = None
    tokens_saved: float | None = None
    """Share of the baseline's tokens that was not generated."""
    tokens_saved_interval: Interval | None = None
    over_clairvoyant: float | None = None
    """Mean latency over that of the earliest stop which keeps the final majority; only without
    a deadline."""
    over_clairvoyant_interval: Interval | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and CSV."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def rows_of(
    replayed: Replayed, baseline: StrategySpec, *, step_seconds: float | None = None
) -> list[Row]:
    """The rows of a replay, in the order of its cells; the clairvoyant stop after those of each
    number of branches that were raced without a deadline.

    Raises:
        BadRequest: numpy is missing.
    """
    job = replayed.job
    count, unit = len(job.questions), step_seconds or 1.0
    maker = _RowMaker(Bootstrap(count), baseline, job.draws, unit)
    cells = {
        cell: _Means.of(figures, count, unit)
        for cell, figures in zip(job.cells, replayed.cells, strict=True)
    }
    bounds = {b: _Means.of(f, count, unit) for b, f in replayed.clairvoyant.items()}
    rows: list[Row] = []
    for position, (cell, means) in enumerate(cells.items()):
        against = Cell(baseline, cell.branches, cell.deadline, cell.forced)
        known = cells.get(against) if against != cell else None
        bound = bounds[cell.branches] if cell.deadline == inf else None
        rows.append(maker.row(cell, means, known, bound))
        following = job.cells[position + 1 : position + 2]
        last = not following or following[0].branches != cell.branches
        free = [c for c in cells if c.branches == cell.branches and c.deadline == inf]
        if last and free:
            against = Cell(baseline, cell.branches, inf, free[0].forced)
            it = Cell(StrategySpec(CLAIRVOYANT), cell.branches, inf, free[0].forced)
            rows.append(maker.row(it, bounds[cell.branches], cells.get(against), None))
    return rows


@dataclass(slots=True)
class _Means:
    """A cell's figures by question."""

    right: "Array"  # (questions,)
    latency: "Array"  # (questions,)
    tokens: "Array"  # (questions,)
    latencies: "Array"  # (questions x draws,)
    ended: float  # branches of a race that ran to their own end

    @classmethod
    def of(cls, figures: Figures, questions: int, unit: float) -> "_Means":
        np = numpy()
        right = np.frombuffer(bytes(figures.right), dtype=np.uint8).reshape(questions, -1)
        latency = np.frombuffer(figures.latency, dtype=np.float64) * unit
        tokens = np.frombuffer(figures.tokens, dtype=np.float64).reshape(questions, -1)
        by_question = latency.reshape(questions, -1)
        ended = float(np.frombuffer(figures.ended, dtype=np.float64).mean())
        return cls(
            right.mean(axis=1), by_question.mean(axis=1), tokens.mean(axis=1), latency, ended
        )


@dataclass(slots=True)
class _RowMaker:
    """Makes the rows of one replay."""

    compare: Bootstrap
    baseline: StrategySpec
    draws: int
    unit: float
    """Of the times, over that of a token."""

    def row(self, cell: Cell, means: _Means, base: _Means | None, bound: _Means | None) -> Row:
        """The row of a cell.

        Args:
            base: of the baseline's cell; None: there is none to compare with.
            bound: of the earliest stop which keeps the final majority; None: it has no meaning.
        """
        np, compare = numpy(), self.compare
        p50, p95 = np.quantile(means.latencies, [0.5, 0.95])
        paired: dict[str, Any] = {}
        if base is not None:
            saved = compare.ratio(means.tokens, base.tokens)
            paired = {
                "accuracy_difference": float((means.right - base.right).mean()),
                "accuracy_difference_interval": compare.mean(means.right - base.right),
                "speedup": float(base.latency.mean() / means.latency.mean()),
                "speedup_interval": compare.ratio(base.latency, means.latency),
                "tokens_saved": float(1.0 - means.tokens.mean() / base.tokens.mean()),
                "tokens_saved_interval": (1.0 - saved[1], 1.0 - saved[0]),
            }
        if bound is not None:
            paired["over_clairvoyant"] = float(means.latency.mean() / bound.latency.mean())
            paired["over_clairvoyant_interval"] = compare.ratio(means.latency, bound.latency)
        return Row(
            strategy=cell.strategy.label,
            branches=cell.branches,
            deadline=None if cell.deadline == inf else cell.deadline * self.unit,
            forced=cell.forced,
            questions=len(means.right),
            draws=self.draws,
            accuracy=float(means.right.mean()),
            accuracy_interval=compare.mean(means.right),
            latency_mean=float(means.latency.mean()),
            latency_interval=compare.mean(means.latency),
            latency_p50=float(p50),
            latency_p95=float(p95),
            tokens_mean=float(means.tokens.mean()),
            branches_cut=1.0 - means.ended / cell.branches,
            baseline=self.baseline.label if base is not None else None,
            **paired,
        )
