"""What a replay shows: a table, a CSV file, plots."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..errors import BadRequest
from .comparison import CLAIRVOYANT, Interval, Row

#: Strategies to a plot at most; with more of them nobody finds a line in the legend.
_LINES = 14
_MARKS = "osD^vP*X<>hd8p"


def table(rows: Sequence[Row], unit: str) -> Table:
    """All rows; ``unit`` is that of the times."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("strategy", no_wrap=True)
    for name in ("B", "deadline", "forced"):
        made.add_column(name, justify="right", no_wrap=True)
    for name in (
        "accuracy %",
        "against baseline",
        f"latency ({unit})",
        "p50",
        "p95",
        "times faster",
        "tokens",
        "saved %",
        "cut %",
        "of clairvoyant",
    ):
        made.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(
            row.strategy,
            str(row.branches),
            "none" if row.deadline is None else _time(row.deadline),
            "on" if row.forced else "off",
            f"{100 * row.accuracy:.1f}",
            _points(row.accuracy_difference, row.accuracy_difference_interval),
            _time(row.latency_mean),
            _time(row.latency_p50),
            _time(row.latency_p95),
            _ratio(row.speedup, row.speedup_interval),
            f"{row.tokens_mean:,.0f}",
            "" if row.tokens_saved is None else f"{100 * row.tokens_saved:.1f}",
            f"{100 * row.branches_cut:.1f}",
            _ratio(row.over_clairvoyant, None),
        )
    return made


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line a row; an interval takes two columns, ``…_low`` and ``…_high``."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer: csv.DictWriter[str] | None = None
        for row in rows:
            flat = _flat(row)
            if writer is None:
                writer = csv.DictWriter(file, list(flat))
                writer.writeheader()
            writer.writerow(flat)


def draw_plots(rows: Sequence[Row], folder: Path, unit: str) -> list[Path]:
    """Accuracy over latency, accuracy over deadline and time saved by strategy, as PNG files;
    those for which there are no rows are not drawn.

    Raises:
        BadRequest: matplotlib is missing.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise BadRequest(
            "plots need matplotlib, which is not installed: pip install 'frontrunner[experiments]'"
        ) from error
    mpl.use("Agg")  # files only, whatever display there is
    from matplotlib import pyplot as plt

    drawn: list[Path] = []
    free = [row for row in rows if row.deadline is None and row.forced]
    free = free or [row for row in rows if row.deadline is None]
    bound = [row for row in rows if row.deadline is not None]
    plots = [
        ("accuracy_over_latency.png", free, _over_latency),
        ("accuracy_over_deadline.png", bound, _over_deadline),
        ("time_saved.png", [row for row in free if row.speedup is not None], _time_saved),
    ]
    for name, chosen, draw in plots:
        if not chosen:
            continue
        figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
        draw(axes, chosen, unit)
        figure.savefig(folder / name, dpi=120)
        plt.close(figure)
        drawn.append(folder / name)
    return drawn


def _over_latency(axes: Any, rows: Sequence[Row], unit: str) -> None:
    for number, (strategy, own) in enumerate(_by_strategy(rows)):
        x, y = [r.latency_mean for r in own], [100 * r.accuracy for r in own]
        axes.plot(x, y, marker=_MARKS[number % len(_MARKS)], label=strategy)
        for row in own:
            at = (row.latency_mean, 100 * row.accuracy)
            axes.annotate(str(row.branches), at, fontsize=7, alpha=0.7)
    axes.set_xlabel(f"mean latency ({unit})")
    axes.set_ylabel("accuracy (%)")
    axes.set_title("Accuracy over latency; a point for each number of branches")
    axes.legend(fontsize=8)


def _over_deadline(axes: Any, rows: Sequence[Row], unit: str) -> None:
    most = max(row.branches for row in rows)
    rows = [row for row in rows if row.branches == most]
    for number, (strategy, own) in enumerate(_by_strategy(rows)):
        for forced, line in ((True, "-"), (False, ":")):
            part = sorted((r.deadline or 0.0, 100 * r.accuracy) for r in own if r.forced is forced)
            if part:
                axes.plot(
                    *zip(*part, strict=True),
                    linestyle=line,
                    color=f"C{number}",
                    marker=_MARKS[number % len(_MARKS)],
                    label=f"{strategy}, {'with' if forced else 'without'} forced answers",
                )
    axes.set_xlabel(f"deadline ({unit})")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(f"Accuracy over deadline, {most} branches")
    axes.legend(fontsize=7)


def _time_saved(axes: Any, rows: Sequence[Row], unit: str) -> None:
    counts = sorted({row.branches for row in rows})
    strategies = [name for name, _ in _by_strategy(rows)]
    height = 0.8 / len(counts)
    for place, branches in enumerate(counts):
        own = {r.strategy: r for r in rows if r.branches == branches}
        shown = [(i, own[name]) for i, name in enumerate(strategies) if name in own]
        saved = [100 * (1 - 1 / (r.speedup or 1.0)) for _, r in shown]
        at = [i + place * height for i, _ in shown]
        axes.barh(at, saved, height=height, label=f"{branches} branches")
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(strategies))], strategies, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"mean latency saved against {rows[0].baseline} (%)")
    axes.set_title("Time saved by stop rule, without a deadline")
    axes.legend(fontsize=8)


def _by_strategy(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.strategy, []).append(row)
    kept = [(name, own) for name, own in grouped.items() if name != CLAIRVOYANT][:_LINES]
    return kept + [(name, own) for name, own in grouped.items() if name == CLAIRVOYANT]


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.as_dict().items():
        if name.endswith("_interval"):
            low, high = value if value is not None else (None, None)
            stem = name.removesuffix("_interval")
            flat |= {f"{stem}_low": low, f"{stem}_high": high}
        else:
            flat[name] = value
    return flat


def _time(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _points(value: float | None, interval: Interval | None) -> str:
    if value is None or interval is None:
        return ""
    return f"{100 * value:+.1f} [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


def _ratio(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
