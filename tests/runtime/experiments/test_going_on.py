"""A replay that goes on where it was broken off, its single races, and replays from Python."""

import csv
from pathlib import Path
from typing import Any

import pytest
from examples.replay_rows import fastest
from rich.console import Console
from rich.measure import Measurement

from frontrunner import BadRequest
from frontrunner.experiments import replay, replay_draws
from frontrunner.runtime.cli.commands import replay as command
from frontrunner.runtime.cli.common.running import Interrupted
from frontrunner.runtime.experiments.checkpoint import read_parts, write_parts
from frontrunner.runtime.experiments.replay import Job, Replay
from frontrunner.runtime.experiments.report import fitting_table
from frontrunner.runtime.simulation.cells import StrategySpec, cells_of
from frontrunner.runtime.traces.recordings import RecordedBranch, RecordedQuestion

from ..cli.conftest import RunCli, run_cli
from .data import probed_file, probed_question

__all__ = ["run_cli"]


def job(draws: int = 700) -> Job:
    branches = tuple(RecordedBranch(10 * i, str(i % 3)) for i in range(1, 9))
    questions = [RecordedQuestion(f"q{n}", str(n), branches, frozenset({str(n)})) for n in range(3)]
    specs = [StrategySpec.parse(text) for text in ("majority:stop=none", "first_to_m:m=2")]
    return Job(questions, cells_of(specs, [4], [float("inf"), 50.0], [False]), draws)


def everything(replay: Replay) -> list[Any]:
    for _ in replay.run():
        pass
    done = replay.result()
    return [done.cells, done.clairvoyant]


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = everything(Replay(job(), 1))
    broken, path = Replay(job(), 1), tmp_path / "kept"
    steps = broken.run()
    for _ in range(5):
        next(steps)
    steps.close()
    write_parts(path, "it", broken.parts)

    again = Replay(job(), 1)
    done = again.resume(read_parts(path, "it"))
    assert 0 < done < again.races
    ran = sum(again.run())
    assert ran == again.races - done
    assert everything(again) == whole


@pytest.mark.parametrize("harm", ["other", "short", "long", "text", "none"])
def test_what_is_of_another_replay_or_broken_is_not_read(tmp_path: Path, harm: str) -> None:
    path, done = tmp_path / "kept", Replay(job(50), 1)
    everything(done)
    write_parts(path, "it", done.parts)
    assert len(read_parts(path, "it")) == len(done.parts)
    content = path.read_bytes()
    match harm:
        case "other":
            assert read_parts(path, "another") == []
            return
        case "short":
            path.write_bytes(content[:-1])
        case "long":
            path.write_bytes(content + b"x")
        case "text":
            path.write_text("no such thing")
        case _:
            path.unlink()
    assert read_parts(path, "it") == []


def test_parts_of_another_division_are_run_again() -> None:
    done = Replay(job(50), 1)
    everything(done)
    assert Replay(job(51), 1).resume(done.parts) == 0


def test_the_command_goes_on(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = str(probed_file(tmp_path, probed_question(), probed_question("3")))
    arguments = ("replay", traces, "-b", "4", "-n", "300", "--processes", "1")
    whole = run_cli(*arguments, "--json").lines()
    shown, steps = command._with_progress, 2

    def broken(replay: Replay, done: int = 0) -> None:
        running = replay.run()
        for _ in range(steps):
            next(running)
        running.close()
        raise Interrupted(command.signal.SIGINT)

    monkeypatch.setattr(command, "_with_progress", broken)
    out = tmp_path / "out"
    done = run_cli(*arguments, "--out", str(out))
    assert done.status == 130
    assert "the same command goes on from there" in done.err
    monkeypatch.setattr(command, "_with_progress", shown)
    done = run_cli(*arguments, "--out", str(out), "--json", "--per-draw")
    assert (done.status, done.lines()) == (0, whole)
    assert "going on: " in done.err
    assert not (out / "replay.partial").exists()
    with (out / "draws.csv").open() as file:
        rows = list(csv.DictReader(file))
    cells = [row for row in whole if row["strategy"] != "clairvoyant"]
    assert len(rows) == 300 * 2 * len(cells)


def test_per_draw_needs_a_folder(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("replay", str(probed_file(tmp_path)), "--per-draw")
    assert (done.status, "--out" in done.err) == (2, True)


# ── from Python ───────────────────────────────────────────────────────────────────────────────


def test_rows_are_those_of_the_command(run_cli: RunCli, tmp_path: Path) -> None:
    path = probed_file(tmp_path, probed_question(), probed_question("3"))
    options = ("-s", "first_to_m:m=2", "-b", "2,4", "-n", "20", "-d", "none,30", "--json")
    told = run_cli("replay", str(path), *options).lines()
    rows = replay(path, "first_to_m:m=2", branches=[2, 4], draws=20, deadlines=[None, 30])
    for row, line in zip(rows, told, strict=True):
        for name, value in row.as_dict().items():
            said = line[name]
            assert (list(value) if isinstance(value, tuple) else value) == said


def test_the_example_finds_the_fastest(tmp_path: Path) -> None:
    branches = [[["7"], length, "7" if length % 3 else "3"] for length in range(10, 90, 10)]
    asked = [probed_question(branches=branches), probed_question("3", branches)]
    found = fastest(str(probed_file(tmp_path, *asked)))
    assert found.strategy != "clairvoyant"
    assert found.branches in (4, 8)
    assert found.latency_mean > 0


async def test_it_runs_where_a_loop_runs(tmp_path: Path) -> None:
    assert replay(str(probed_file(tmp_path)), branches=2, draws=3)


def test_single_races_have_the_means_of_the_rows(tmp_path: Path) -> None:
    path = probed_file(tmp_path, probed_question(), probed_question("3"))
    rows = replay(path, branches=4, draws=30, step_seconds=0.5)
    draws = replay_draws(path, branches=4, draws=30, step_seconds=0.5)
    for row in rows:
        own = [draw for draw in draws if draw.strategy == row.strategy]
        if row.strategy != "clairvoyant":
            assert len(own) == 2 * 30
            assert sum(draw.right for draw in own) / len(own) == pytest.approx(row.accuracy)
            assert sum(d.latency for d in own) / len(own) == pytest.approx(row.latency_mean)


@pytest.mark.parametrize(
    "options",
    [{"branches": 0}, {"draws": 0}, {"deadlines": [0.0]}, {"step_seconds": -1.0}],
)
def test_what_cannot_be_replayed_is_named(tmp_path: Path, options: Any) -> None:
    with pytest.raises(BadRequest, match=next(iter(options))):
        replay(probed_file(tmp_path), **options)


# ── on a terminal ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [60, 80, 100, 132, 200])
def test_a_table_fits_its_terminal(tmp_path: Path, width: int) -> None:
    rows = replay(probed_file(tmp_path), ["majority", "first_to_m:m=1"], branches=4, draws=3)
    made, left_out = fitting_table(rows, "tokens", width)
    console = Console(width=1000)
    least = Measurement.get(console, console.options, made).maximum
    assert least <= max(width, 76)
    names = {str(column.header) for column in made.columns}
    assert {"strategy", "B", "accuracy %", "latency (tokens)", "times faster"} <= names
    assert not names & set(left_out)
