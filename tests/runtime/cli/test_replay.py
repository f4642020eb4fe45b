"""``frontrunner replay`` as a user meets it."""

import csv
import io
import signal
import sys
import time
from pathlib import Path

import orjson
import pytest

from ..experiments.data import probed_file, probed_question, scored_file, scored_line
from .conftest import PATIENCE, RunCli, assert_they_end, cli_process, process, session_members
from .test_bad_input import assert_one_sentence

pytestmark = pytest.mark.slow  # it starts processes of its own

KEYS = {
    "strategy",
    "branches",
    "deadline",
    "forced",
    "accuracy",
    "accuracy_interval",
    "latency_mean",
    "latency_p50",
    "latency_p95",
    "tokens_mean",
}


def test_json_is_a_row_for_each_cell(run_cli: RunCli, tmp_path: Path) -> None:
    path = str(probed_file(tmp_path, probed_question(), probed_question("3")))
    done = run_cli(
        *("replay", path, "--strategy", "majority:min_votes=2", "--branches", "2,4"),
        *("--deadlines", "none,20", "--forced", "on,off", "--draws", "5", "--json"),
    )
    assert (done.status, done.err) == (0, "")
    rows = [row for row in done.lines() if row["strategy"] != "clairvoyant"]
    assert len(rows) == 2 * 2 * 2 * 2
    assert all(set(row) >= KEYS for row in rows)
    assert {row["strategy"] for row in rows} == {"majority:stop=none", "majority:min_votes=2"}
    assert {(r["branches"], r["deadline"], r["forced"]) for r in rows} == {
        (b, d, f) for b in (2, 4) for d in (None, 20.0) for f in (True, False)
    }
    (row,) = [
        r
        for r in rows
        if (r["strategy"], r["branches"], r["deadline"], r["forced"])
        == ("majority:stop=none", 4, None, True)
    ]
    assert (row["accuracy"], row["latency_mean"], row["tokens_mean"]) == (0.5, 45.0, 120.0)


def test_by_default_all_stop_rules_are_compared(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("replay", str(probed_file(tmp_path)), "-b", "4", "-n", "2")
    assert done.status == 0
    for name in ("none", "clinch", "flip_risk", "beta", "lead", "certified"):
        assert f"majority:stop={name}" in done.out
    assert "clairvoyant" in done.out


def test_a_folder_gets_the_table_the_figures_and_the_plots(run_cli: RunCli, tmp_path: Path) -> None:
    out = tmp_path / "results" / "first"
    done = run_cli(
        *("replay", str(probed_file(tmp_path)), "-s", "majority", "-b", "2,4", "-n", "3"),
        *("--deadlines", "none,20", "--forced", "on,off", "--out", str(out)),
    )
    assert done.status == 0
    assert {path.name for path in out.iterdir()} == {
        "report.html",
        "table.txt",
        "cells.csv",
        "accuracy_over_latency.png",
        "accuracy_over_deadline.png",
        "time_saved.png",
    }
    assert (out / "table.txt").read_text() == done.out
    rows = list(csv.DictReader(io.StringIO((out / "cells.csv").read_text())))
    assert len(rows) == 16 + 2
    assert float(rows[0]["accuracy_low"]) <= float(rows[0]["accuracy"])
    assert (out / "time_saved.png").read_bytes().startswith(b"\x89PNG")


def test_rewards_are_replayed(run_cli: RunCli, tmp_path: Path) -> None:
    path = str(scored_file(tmp_path, scored_line(), scored_line(rewards=[0.5, 1.0, 3.0])))
    done = run_cli(
        *("replay", path, "-b", "3", "-n", "4", "--json", "--baseline", "best_of_n"),
        *("-s", "best_of_n:threshold=2.0"),
    )
    assert (done.status, done.err) == (0, "")
    rows = {row["strategy"]: row for row in done.lines()}
    assert rows["best_of_n"]["accuracy"] == rows["best_of_n:threshold=2.0"]["accuracy"] == 0.5
    assert rows["best_of_n"]["latency_mean"] == 30.0
    assert rows["best_of_n:threshold=2.0"]["latency_mean"] == 25.0  # 20 and 30


def test_with_a_step_time_all_is_in_seconds(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli(
        *("replay", str(probed_file(tmp_path)), "-s", "majority:stop=clinch", "-b", "4"),
        *("--step-seconds", "0.1", "--deadlines", "4", "--json", "-n", "1"),
    )
    assert done.status == 0
    for row in done.lines():
        assert row["deadline"] == 4.0
        assert 0 < row["latency_mean"] <= 4.0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["none.json"], r"none.json: cannot be read"),
        (["FILE", "--branches", "0"], "--branches: whole numbers of at least 1"),
        (["FILE", "--branches", "4,many"], "--branches: .* not 'many'"),
        (["FILE", "--branches", "5"], "has 4 whole branches, and 5 are asked for"),
        (["FILE", "--deadlines", "soon"], "--deadlines: .* not 'soon'"),
        (["FILE", "--deadlines", "-1"], "--deadlines: positive numbers"),
        (["FILE", "--forced", "maybe"], "--forced: on, off or on,off"),
        (["FILE", "--draws", "0"], "--draws must be at least 1"),
        (["FILE", "--step-seconds", "0"], "--step-seconds must be a positive number"),
        (["FILE", "--reserve", "-1"], "--reserve must be a number of at least 0"),
        (["FILE", "--reserve", "5", "--deadlines", "4"], "--reserve must be shorter"),
        (["FILE", "--lengths", "long"], "--lengths takes pooled, none"),
        (["FILE", "--lengths", "9,3"], "0 < median < p95"),
        (["FILE", "--strategy", "luck"], "unknown strategy 'luck'"),
        (["FILE", "--strategy", "majority:stop"], "name:key=value"),
        (["FILE", "--strategy", "majority:branches=3"], "given by --branches"),
        (["FILE", "--baseline", "majority:zeal=1"], "no parameter 'zeal'"),
        (["FILE", "-b", "4", "-s", "best_of_n"], "best_of_n: .* a score of each branch"),
        (["FILE", "-b", "4", "--out", "FILE"], "cannot make the folder"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_refused_with_one_sentence(
    run_cli: RunCli, tmp_path: Path, arguments: list[str], match: str
) -> None:
    path = str(probed_file(tmp_path))
    done = run_cli("replay", *(path if part == "FILE" else part for part in arguments))
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, match)


def test_a_broken_line_is_named(run_cli: RunCli, tmp_path: Path) -> None:
    path = scored_file(tmp_path, scored_line(), b'{"question": 3}\n')
    done = run_cli("replay", str(path), "-b", "3")
    assert done.status == 2
    assert_one_sentence(done.err, r"scored.jsonl, line 2: ")


def test_help_teaches(run_cli: RunCli) -> None:
    done = run_cli("replay", "--help")
    assert (done.status, done.err) == (0, "")
    for word in ("Examples", "frontrunner replay", "Exit status", "clairvoyant"):
        assert word in done.out


def test_what_solve_wrote_down_is_replayed(run_cli: RunCli, tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    asked.write_bytes(orjson.dumps({"question": "q", "answer": "42"}))
    config = tmp_path / "whole.toml"
    config.write_text('[race.parameters]\nstop = "none"\n')
    trace = tmp_path / "trace.ndjson"
    for _ in range(2):
        done = run_cli(
            *("solve", "--file", str(asked), "--deadline", "5", "--branches", "4"),
            *("--config", str(config), "--trace", str(trace)),
        )
        assert done.status == 0
    assert len(trace.read_bytes().splitlines()) == 2
    done = run_cli("replay", str(trace), "-s", "majority", "-b", "8", "-n", "2", "--json")
    assert (done.status, done.err) == (0, "")
    assert {row["accuracy"] for row in done.lines()} == {1.0}


def test_a_folder_that_takes_nothing_is_refused_before_the_work(
    run_cli: RunCli, tmp_path: Path
) -> None:
    done = run_cli(
        "replay", str(probed_file(tmp_path)), "-b", "4", "-n", "2", "--out", "/proc/self"
    )
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, "cannot write /proc/self/")


def test_a_trace_that_cannot_be_written_is_refused(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("solve", "q", "--trace", str(tmp_path))
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, "cannot write the trace")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    path = str(probed_file(tmp_path))
    with cli_process("replay", path, "-b", "4", "-n", "1000000") as started:
        while len(members := session_members(started.pid)) < 3:  # it, and what it spawned
            assert started.poll() is None
            time.sleep(0.05)  # without taking the time of what is waited for
        started.send_signal(number)
        _, err = started.communicate(timeout=PATIENCE)
        assert (started.returncode, err) == (128 + number, b"")
        assert_they_end(members)


def test_a_warning_in_the_log_does_not_stand_among_the_figures(tmp_path: Path) -> None:
    code = (
        "import sys, structlog; from frontrunner.runtime.cli import main; main(sys.argv[1:]);"
        "structlog.get_logger().warning('a comparison took too long')"
    )
    argv = ("replay", str(probed_file(tmp_path)), "-b", "2", "-n", "1", "--json")
    with process(sys.executable, "-c", code, *argv) as started:
        out, err = started.communicate(timeout=PATIENCE)
    assert all(orjson.loads(line) for line in out.splitlines())
    assert b"a comparison took too long" in err
