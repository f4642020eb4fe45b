"""The plot of a soak, as one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..common.plotting import pyplot
from .soak_log import End, RaceEnded, Sample, SoakLog, Strike

_MIB = 2.0**20


def draw_soak(log: SoakLog, path: Path) -> None:
    """Memory, how late replies came, and how races ended, over the time of load; runs stand behind
    one another.

    Raises:
        BadRequest: matplotlib is missing.
    """
    plt = pyplot()
    figure, axes = plt.subplots(4, 1, figsize=(11, 11), sharex=True, layout="constrained")
    begin, labelled = 0.0, set[End]()
    for number, run in enumerate(log.runs()):
        if not run:
            continue
        shifted = [(begin + record.at, record) for record in run]
        if number:
            for axis in axes:
                axis.axvline(begin / 60, color="black", linewidth=0.8)
        _draw_run(axes, shifted, labelled)
        begin += run[-1].at
    for axis, name in zip(
        axes, ("server (MiB)", "engine (MiB)", "late (ms)", "races a minute"), strict=True
    ):
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[3].set_xlabel("minutes of load (red: the engine was struck)")
    for axis in (axes[2], axes[3]):
        if axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper right", fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_run(axes: Any, records: Sequence[tuple[float, object]], labelled: set[End]) -> None:
    samples = [(at / 60, r) for at, r in records if isinstance(r, Sample)]
    axes[0].plot([at for at, _ in samples], [s.server_bytes / _MIB for _, s in samples], color="C0")
    axes[1].plot([at for at, _ in samples], [s.engine_bytes / _MIB for _, s in samples], color="C1")
    races = [(at / 60, r) for at, r in records if isinstance(r, RaceEnded)]
    late = [(at, 1000 * r.late) for at, r in races if r.late is not None]
    axes[2].plot([at for at, _ in late], [ms for _, ms in late], ".", markersize=2, color="C2")
    for place, end in enumerate(End):
        minutes = [int(at) for at, r in races if r.end is end]
        if minutes:
            xs = range(min(minutes), max(minutes) + 1)
            label = None if end in labelled else end.value
            labelled.add(end)
            axes[3].plot(xs, [minutes.count(x) for x in xs], color=f"C{place}", label=label)
    for at, record in records:
        if isinstance(record, Strike):
            for axis in axes:
                axis.axvline(at / 60, color="red", alpha=0.3, linewidth=0.6)
