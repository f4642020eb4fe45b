"""What a replay shows: a table, plots, and a report with them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ..common.plotting import pyplot
from .comparison import CLAIRVOYANT, Row
from .html_report import Report, TextTable, draw, line_style
from .intervals import Interval

#: Strategies to a plot at most; with more of them nobody finds a line in the legend.
_LINES = 14


#: The columns of a table, beside those of ``strategy`` and ``B``.
_COLUMNS: Final[Mapping[str, Callable[[Row], str]]] = {
    "deadline": lambda row: "none" if row.deadline is None else _time(row.deadline),
    "forced": lambda row: "on" if row.forced else "off",
    "accuracy %": lambda row: f"{100 * row.accuracy:.1f}",
    "against baseline": lambda row: _points(
        row.accuracy_difference, row.accuracy_difference_interval
    ),
    "latency": lambda row: _time(row.latency_mean),
    "p50": lambda row: _time(row.latency_p50),
    "p95": lambda row: _time(row.latency_p95),
    "times faster": lambda row: _ratio(row.speedup, row.speedup_interval),
    "tokens": lambda row: f"{row.tokens_mean:,.0f}",
    "saved %": lambda row: "" if row.tokens_saved is None else f"{100 * row.tokens_saved:.1f}",
    "cut %": lambda row: f"{100 * row.branches_cut:.1f}",
    "of clairvoyant": lambda row: _ratio(row.over_clairvoyant, None),
}
#: What is left out first where there is little room; what is the same in all rows goes before it.
_SPARE: Final = ("of clairvoyant", "cut %", "p50", "tokens", "p95", "saved %", "against baseline")


def table(rows: Sequence[Row], unit: str, without: Collection[str] = ()) -> Table:
    """All rows.

    Args:
        unit: that of the times.
        without: columns that are left out.
    """
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    made.add_column("strategy", no_wrap=True)
    made.add_column("B", justify="right", no_wrap=True)
    columns = {name: of for name, of in _COLUMNS.items() if name not in without}
    for name in columns:
        title = f"latency ({unit})" if name == "latency" else name
        made.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(row.strategy, str(row.branches), *(of(row) for of in columns.values()))
    return made


def fitting_table(rows: Sequence[Row], unit: str, width: int) -> tuple[Table, list[str]]:
    """The table in so many columns of a terminal, and what was left out of it for that: first what
    is the same in all rows, then what matters least."""
    console = Console(width=10_000)
    same = [n for n in ("deadline", "forced") if len({_COLUMNS[n](row) for row in rows}) == 1]
    out: list[str] = []
    for name in (*same, *_SPARE, ""):
        made = table(rows, unit, out)
        if not name or Measurement.get(console, console.options, made).maximum <= width:
            return made, out
        out.append(name)
    raise AssertionError("the last one is returned")


def draw_plots(rows: Sequence[Row], folder: Path, unit: str) -> list[Path]:
    """Accuracy over latency, accuracy over deadline and time saved by strategy, as PNG files;
    those for which there are no rows are not drawn.

    Raises:
        BadRequest: matplotlib is missing.
    """
    plt = pyplot()
    drawn: list[Path] = []
    for plot in _plots(rows):
        with plt.rc_context({"text.parse_math": False}):  # labels are texts, whatever is in them
            figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
            plot.draw(axes, plot.rows, unit)
            figure.savefig(folder / f"{plot.name}.png", dpi=120)
            plt.close(figure)
        drawn.append(folder / f"{plot.name}.png")
    return drawn


def replay_report(rows: Sequence[Row], unit: str, facts: Mapping[str, str]) -> Report:
    """All of it in one HTML file.

    Args:
        rows: at least one.
        unit: that of the times.
        facts: about what was replayed, by name.

    Raises:
        BadRequest: matplotlib is missing.
    """
    plain = table(rows, unit)
    cells = zip(*([*map(str, column.cells)] for column in plain.columns), strict=True)
    return Report(
        title="Frontrunner: replay",
        summary=[
            f"{rows[0].draws} random draws of recorded branches for each of {rows[0].questions} "
            "questions; all cells see the same draws.",
            "The row “clairvoyant” stops at the earliest moment from which the leader stays the "
            "final majority's answer.",
        ],
        facts=facts,
        tables=[
            TextTable(
                "All cells",
                "Brackets are the 95 % interval over questions drawn anew (bootstrap); what is "
                "compared with the baseline is paired by question.",
                [str(column.header) for column in plain.columns],
                [*cells],
            )
        ],
        figures=[
            draw(partial(_on_axes, plot, unit), plot.title, plot.caption) for plot in _plots(rows)
        ],
        data=[row.as_dict() for row in rows],
    )


@dataclass(frozen=True, slots=True)
class _Plot:
    """A plot and its rows, at least one."""

    name: str
    title: str
    caption: str
    rows: Sequence[Row]
    draw: Callable[[Any, Sequence[Row], str], None]


def _plots(rows: Sequence[Row]) -> list[_Plot]:
    free = [row for row in rows if row.deadline is None and row.forced]
    free = free or [row for row in rows if row.deadline is None]
    bound = [row for row in rows if row.deadline is not None]
    plots = [
        _Plot(
            "accuracy_over_latency",
            "Accuracy over latency",
            "Without a deadline; a point for each number of branches.",
            free,
            _over_latency,
        ),
        _Plot(
            "accuracy_over_deadline",
            "Accuracy over deadline",
            "Of the largest number of branches; who has not answered by then counts as wrong.",
            bound,
            _over_deadline,
        ),
        _Plot(
            "time_saved",
            "Time saved by strategy",
            "Mean latency against the baseline's, without a deadline.",
            [row for row in free if row.speedup is not None],
            _time_saved,
        ),
    ]
    return [plot for plot in plots if plot.rows]


def _on_axes(plot: _Plot, unit: str, axes: Any) -> None:
    plot.draw(axes, plot.rows, unit)


def _over_latency(axes: Any, rows: Sequence[Row], unit: str) -> None:
    for number, (strategy, own) in enumerate(_by_strategy(rows)):
        x, y = [r.latency_mean for r in own], [100 * r.accuracy for r in own]
        axes.plot(x, y, label=strategy, **line_style(number))
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
                    **{**line_style(number), "linestyle": line},
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
