"""What a benchmark shows: a table, and a report with plots."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from .bench_summary import BenchRow
from .html_report import COLOURS, Figure, Report, TextTable, draw, line_style
from .intervals import Interval

_INTERVALS = (
    "Small print is the 95 % interval over questions drawn anew (bootstrap); what is compared is "
    "paired by question."
)
_HEAD = (
    "strategy",
    "B",
    "deadline s",
    "users",
    "right %",
    "against the baseline",
    "answered %",
    "late %",
    "p50 s",
    "p95 s",
    "times faster",
    "tokens",
    "tokens per right answer",
)


def bench_table(rows: Sequence[BenchRow]) -> Table:
    """All rows, for a terminal."""
    rows = _named(rows)
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(_HEAD):
        made.add_column(name, justify="right" if place else "left", overflow="fold")
    for row in rows:
        made.add_row(*(text.replace("\n", " ") for text in _texts(row)))
    return made


def bench_report(rows: Sequence[BenchRow], facts: dict[str, str], budget: int | None) -> Report:
    """The report of a benchmark.

    Args:
        rows: at least one.
        facts: about what was measured, by name.
        budget: tokens that a race may take and still satisfy; None: any number.

    Raises:
        BadRequest: matplotlib is missing.
    """
    data = [row.as_dict() for row in rows]
    rows = _named(rows)
    late = sum(round(row.late * row.races) for row in rows)
    races = sum(row.races for row in rows)
    best = max(rows, key=lambda row: row.satisfied)
    summary = [
        f"{races:,} races on {rows[0].questions} questions; {late or 'none'} of them late.",
        f"Most often right and in time{_within(budget)}: {_name(best)}, "
        f"{100 * best.satisfied:.1f} % {_points_interval(best.satisfied_interval)}.",
        "Who has not answered by the deadline counts as wrong.",
    ]
    table = TextTable("All cells", _INTERVALS, _HEAD, [_texts(row) for row in rows])
    return Report(
        title="Frontrunner: benchmark",
        summary=summary,
        facts=facts,
        tables=[table],
        figures=list(_figures(rows, budget)),
        data=data,
    )


def _named(rows: Sequence[BenchRow]) -> Sequence[BenchRow]:
    """The rows without their config's name, if there is no other."""
    if len({row.config for row in rows}) > 1:
        return rows
    return [replace(row, config="") for row in rows]


def _figures(rows: Sequence[BenchRow], budget: int | None) -> list[Figure]:
    deadlines = {row.deadline for row in rows}
    figures: list[Figure] = []
    if len(deadlines) > 1:
        figures.append(
            draw(
                partial(_over_deadline, rows),
                "Accuracy over deadline",
                "Share of the questions that were answered rightly and in time. " + _INTERVALS,
            )
        )
    figures += [
        draw(
            partial(_time_to_answer, rows),
            "Time to answer",
            "Share of the races that had ended by a time, as their callers measured it. The end of "
            "each line is the slowest race.",
        ),
        draw(
            partial(_bars, rows, "tokens_per_right", "tokens per right answer", 1.0),
            "Tokens per right answer",
            "Tokens of all branches of all races over the number of right answers. " + _INTERVALS,
        ),
        draw(
            partial(_bars, rows, "satisfied", "races (%)", 100.0),
            "Right, in time" + (f" and within {budget:,} tokens" if budget else ""),
            "The joint satisfaction of accuracy, latency and cost. " + _INTERVALS,
        ),
        draw(
            partial(_stop_reasons, rows),
            "Why races ended",
            "Share of the races by stop reason; refused are those that the runtime did not take.",
        ),
    ]
    return figures


# ── plots ─────────────────────────────────────────────────────────────────────────────────────


def _over_deadline(rows: Sequence[BenchRow], axes: Any) -> None:
    names = list(dict.fromkeys((row.label, row.users) for row in rows))
    for number, (label, users) in enumerate(names):
        own = sorted(
            (row for row in rows if (row.label, row.users) == (label, users)),
            key=lambda row: row.deadline,
        )
        y = [100 * row.accuracy for row in own]
        low = [max(0.0, a - 100 * row.accuracy_interval[0]) for a, row in zip(y, own, strict=True)]
        high = [max(0.0, 100 * row.accuracy_interval[1] - a) for a, row in zip(y, own, strict=True)]
        axes.errorbar(
            [row.deadline for row in own],
            y,
            yerr=[low, high],
            capsize=3,
            label=_with_users(label, users, rows),
            **line_style(number),
        )
    axes.set_xlabel("deadline (s)")
    axes.set_ylabel("right and in time (%)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


def _time_to_answer(rows: Sequence[BenchRow], axes: Any) -> None:
    for number, row in enumerate(rows):
        count = len(row.times)
        share = [100 * (place + 1) / count for place in range(count)]
        style = {**line_style(number), "marker": ""}
        axes.step([0.0, *row.times], [0.0, *share], where="post", label=_name(row), **style)
    axes.set_xlabel("seconds from the call")
    axes.set_ylabel("races that have ended (%)")
    axes.set_xlim(left=0)
    axes.legend(fontsize=7)


def _bars(rows: Sequence[BenchRow], name: str, unit: str, scale: float, axes: Any) -> None:
    shown = [row for row in rows if getattr(row, name) is not None]
    for place, row in enumerate(shown):
        value = scale * getattr(row, name)
        low, high = getattr(row, f"{name}_interval")
        error = [[max(0.0, value - scale * low)], [max(0.0, scale * high - value)]]
        axes.barh(
            place, value, xerr=error, capsize=3, color=COLOURS[0], alpha=0.8, ecolor="#888888"
        )
    axes.set_yticks(range(len(shown)), [_name(row) for row in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(unit)


def _stop_reasons(rows: Sequence[BenchRow], axes: Any) -> None:
    reasons = list(dict.fromkeys(reason for row in rows for reason in row.stop_reasons))
    left = [0.0] * len(rows)
    for number, reason in enumerate(reasons):
        width = [100 * row.stop_reasons.get(reason, 0.0) for row in rows]
        colour = COLOURS[number % len(COLOURS)]
        axes.barh(range(len(rows)), width, left=left, color=colour, label=reason)
        left = [a + b for a, b in zip(left, width, strict=True)]
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("races (%)")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4)


# ── texts ─────────────────────────────────────────────────────────────────────────────────────


def _texts(row: BenchRow) -> list[str]:
    return [
        f"{row.config} {row.strategy}".strip(),
        str(row.branches),
        f"{row.deadline:g}",
        str(row.users),
        f"{100 * row.accuracy:.1f}\n{_points_interval(row.accuracy_interval)}",
        _difference(row.accuracy_difference, row.accuracy_difference_interval),
        f"{100 * row.answered:.1f}",
        f"{100 * row.late:.1f}" + (f"\nby {row.overshoot_max:.3f} s" if row.late else ""),
        f"{row.elapsed_p50:.3f}\n{_interval(row.elapsed_p50_interval, '.3f')}",
        f"{row.elapsed_p95:.3f}\n{_interval(row.elapsed_p95_interval, '.3f')}",
        ""
        if row.speedup is None or row.speedup_interval is None
        else f"{row.speedup:.2f}\n{_interval(row.speedup_interval, '.2f')}",
        f"{row.tokens_mean:,.0f}",
        ""
        if row.tokens_per_right is None or row.tokens_per_right_interval is None
        else f"{row.tokens_per_right:,.0f}\n{_interval(row.tokens_per_right_interval, ',.0f')}",
    ]


def _difference(value: float | None, interval: Interval | None) -> str:
    if value is None or interval is None:
        return ""
    return f"{100 * value:+.1f}\n[{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


def _points_interval(interval: Interval) -> str:
    return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _interval(interval: Interval, form: str) -> str:
    return f"[{interval[0]:{form}}, {interval[1]:{form}}]"


def _within(budget: int | None) -> str:
    return f" within {budget:,} tokens" if budget else ""


def _name(row: BenchRow) -> str:
    users = f", {row.users} users" if row.users > 1 else ""
    return f"{row.label}, {row.deadline:g} s{users}"


def _with_users(label: str, users: int, rows: Sequence[BenchRow]) -> str:
    several = len({row.users for row in rows}) > 1
    return f"{label}, {users} {'user' if users == 1 else 'users'}" if several else label
