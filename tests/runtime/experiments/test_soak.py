"""The log of a soak is gone on with, and what it has shown is judged."""

from dataclasses import replace
from pathlib import Path

import pytest

from frontrunner.errors import BadRequest
from frontrunner.runtime.experiments.soak_log import (
    End,
    RaceEnded,
    Record,
    RunBegan,
    RunEnded,
    Sample,
    SoakLog,
    Strike,
)
from frontrunner.runtime.experiments.soak_plot import draw_soak
from frontrunner.runtime.experiments.soak_summary import Summary, summarise

GOOD = RaceEnded(1.0, "stream", End.ANSWERED, deadline=2.0, seconds=1.5, right=True, overshoot=0.0)
SAMPLE = Sample(
    0.0, server_bytes=100 << 20, engine_bytes=1 << 30, descriptors=20, threads=4, processes=3,
    zombies=0, requests=8,
)  # fmt: skip
ENDED = RunEnded(3_600.0, requests_left=0, processes_left=0, files_left=[], status=0)


def hour(growth: float = 0.0) -> list[Record]:
    """Samples of an hour in which the server's memory grows by this share, and the engine's comes
    to its height in the first minutes."""
    return [
        replace(
            SAMPLE,
            at=float(at),
            server_bytes=int((100 << 20) * (1 + growth * at / 3_600)),
            engine_bytes=min(1 << 30, (1 << 29) + at * (1 << 20)),
        )
        for at in range(0, 3_601, 30)
    ]


def shown(folder: Path, *records: Record) -> Summary:
    log = SoakLog(folder / "soak.jsonl", "demo.toml")
    for record in records:
        log.add(record)
    log.close()
    return summarise(log)


def test_a_soak_that_held(tmp_path: Path) -> None:
    left = replace(GOOD, end=End.LEFT, seconds=9.0, right=None)
    slow = replace(GOOD, client="slow", seconds=9.0)
    summary = shown(tmp_path, RunBegan(1, "demo.toml"), GOOD, left, slow, *hour(), ENDED)
    assert summary.held, summary.problems
    assert summary.races == 3
    assert summary.ends == {"answered": 2, "left": 1}
    assert (summary.missed, summary.late_max) == (0, 0.0)
    assert summary.server_growth == 0.0
    assert summary.engine_growth == 0.0  # it had settled
    assert summary.seconds == 3_600.0


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([replace(GOOD, seconds=2.2)], "1 replies came over 50 ms after their deadline, 200 ms"),
        ([replace(GOOD, end=End.FAILED, problem="gone")], "1 races failed, 1 of them so: gone"),
        ([*hour(0.02), ENDED], "memory grew by 2.0 % an h"),
        ([replace(ENDED, requests_left=2)], "2 requests stayed in the engine"),
        ([replace(ENDED, processes_left=1)], "1 processes outlived the server"),
        ([replace(ENDED, files_left=["psm_1"])], "files were left behind: psm_1"),
        ([replace(ENDED, status=-9)], "did not end by itself"),
        ([SAMPLE, replace(SAMPLE, at=9.0, descriptors=40)], "20 more files were open"),
        ([replace(SAMPLE, zombies=2)], "2 zombies"),
    ],
)
def test_what_does_not_hold(tmp_path: Path, records: list[Record], problem: str) -> None:
    summary = shown(tmp_path, RunBegan(1, "demo.toml"), *records)
    assert len(summary.problems) == 1
    assert problem in summary.problems[0]


@pytest.mark.parametrize("end", [End.REFUSED, End.RESTARTING, End.LOST, End.LEFT, End.CUT_OFF])
def test_what_is_no_failure(tmp_path: Path, end: End) -> None:
    assert shown(tmp_path, RunBegan(1, "demo.toml"), replace(GOOD, end=end, seconds=60.0)).held


def test_a_short_run_is_not_judged_by_its_slope(tmp_path: Path) -> None:
    short = [replace(SAMPLE, at=float(n), server_bytes=(100 + n) << 20) for n in range(60)]
    summary = shown(tmp_path, RunBegan(1, "demo.toml"), *short)
    assert summary.held
    assert (summary.server_growth or 0.0) > 1.0


def test_an_engine_that_is_killed_has_no_slope(tmp_path: Path) -> None:
    strike = Strike(100.0, "SIGKILL")
    summary = shown(tmp_path, RunBegan(1, "demo.toml"), *hour(), strike)
    assert summary.engine_growth is None
    assert summary.server_growth is not None


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "soak.jsonl"
    first = shown(tmp_path, RunBegan(1, "demo.toml"), GOOD, replace(ENDED, at=60.0))
    assert first.seconds == 60.0
    with path.open("ab") as file:
        file.write(b'{"kind":"race","at":')  # broken off
    second = shown(tmp_path, RunBegan(2, "demo.toml"), GOOD, replace(ENDED, at=30.0))
    assert (second.runs, second.races, second.seconds) == (2, 2, 90.0)
    log = SoakLog(path, "demo.toml")
    draw_soak(log, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 1_000
    with pytest.raises(BadRequest, match="another soak writes"):
        SoakLog(path, "demo.toml")
    log.close()
    with pytest.raises(BadRequest, match=r"the log of another soak \(demo.toml\)"):
        SoakLog(path, "other.toml")
    path.write_text("something else\n")
    with pytest.raises(BadRequest, match="not the log of a soak"):
        SoakLog(path, "demo.toml")
