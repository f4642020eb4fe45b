"""``frontrunner bench`` as a user meets it, on engines that play a script."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontrunner.runtime.engines import BranchScript
from frontrunner.runtime.experiments import bench_report
from frontrunner.runtime.experiments.bench import RaceFile
from frontrunner.runtime.experiments.html_report import Figure

from .conftest import Done, RunCli, scripted
from .test_bad_input import assert_one_sentence


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    answers = ["42", "7 and so on\n#### 42", "13"]
    lines = [{"question": f"{n}: 6 times 7?", "answer": said} for n, said in enumerate(answers)]
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return path


@pytest.fixture
def drawn() -> None:
    """For tests of the plots, or of races that are hard to draw."""


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without images for all others: drawing takes most of a small benchmark's time."""
    if "drawn" not in request.fixturenames:

        def blank(plot: object, title: str, caption: str) -> Figure:
            return Figure(title, caption, b"", b"")

        monkeypatch.setattr(bench_report, "draw", blank)


def bench(run_cli: RunCli, questions: Path, *more: str, make: Any = None) -> Done:
    arguments = ("--file", str(questions), "--out", str(questions.parent / "bench"))
    return run_cli("bench", *arguments, *more, make_runtime=make)


GRID = ("--branches", "2,4", "--deadlines", "5,9", "--users", "1,3", "--rounds", "2")


def test_all_cells_race_all_questions(run_cli: RunCli, questions: Path) -> None:
    done = bench(run_cli, questions, *GRID, "--json")
    assert done.status == 0, done.err
    rows = done.lines()
    assert len(rows) == 2 * 2 * 2 * 2  # the config's strategy and the baseline
    for row in rows:
        assert (row["questions"], row["races"]) == (3, 6)
        assert row["accuracy"] == pytest.approx(2 / 3)
        assert row["answered"] == 1.0
        assert 0 < row["elapsed_p50"] <= row["elapsed_p95"]
        low, high = row["accuracy_interval"]
        assert 0 <= low <= row["accuracy"] <= high <= 1
        assert (row["accuracy_difference"] is None) == (row["strategy"] == "majority:stop=none")
        assert sum(row["stop_reasons"].values()) == pytest.approx(1.0)


def test_the_config_that_the_environment_names_is_told_by_its_name(
    run_cli: RunCli, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = questions.parent / "ours.toml"
    config.write_text("[race]\nbranches = 2\n")
    monkeypatch.setenv("FRONTRUNNER_CONFIG", str(config))
    rows = bench(run_cli, questions, "--deadlines", "5", "--json").lines()
    assert {(row["config"], row["branches"]) for row in rows} == {("ours", 2)}


@pytest.mark.usefixtures("drawn")
def test_a_folder_gets_races_tables_and_a_report(run_cli: RunCli, questions: Path) -> None:
    done = bench(run_cli, questions, "--branches", "4", "--deadlines", "5,9")
    assert done.status == 0, done.err
    folder = questions.parent / "bench"
    assert "majority:stop=none" in done.out
    assert (folder / "table.txt").read_text() == done.out
    with (folder / "cells.csv").open() as file:
        (first, *_) = rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert float(first["accuracy_low"]) <= float(first["accuracy"])
    assert json.loads(first["stop_reasons"])
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 5
    assert not re.search(r"(src|href|srcset)=\"(?!data:)", page)  # nothing is fetched
    found = re.search(r'<script type="application/json" id="data">(.*)</script>', page)
    assert found is not None
    assert len(json.loads(found[1])) == 4


def test_what_was_broken_off_goes_on(run_cli: RunCli, questions: Path) -> None:
    grid = ("--branches", "2", "--deadlines", "5")
    assert bench(run_cli, questions, *grid).status == 0
    path = questions.parent / "bench" / "races.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * 3
    path.write_bytes(b"".join(lines[:4]) + lines[4][:20])  # the last one was being written
    done = bench(run_cli, questions, *grid)
    assert done.status == 0
    assert f"3 races are in {path}" in done.err
    again = path.read_bytes().splitlines(keepends=True)
    assert again[:4] == lines[:4]
    assert len(again) == len(lines)
    # With nothing left no engine is started.
    done = bench(run_cli, questions, *grid, make=None)
    assert (done.status, path.read_bytes()) == (0, b"".join(again))


def test_a_larger_grid_keeps_what_was_raced(run_cli: RunCli, questions: Path) -> None:
    assert bench(run_cli, questions, "--branches", "2").status == 0
    done = bench(run_cli, questions, "--branches", "2,4", "--json")
    assert "6 races are in" in done.err
    assert [row["branches"] for row in done.lines()] == [2, 2, 4, 4]


def test_other_questions_are_another_benchmark(run_cli: RunCli, questions: Path) -> None:
    assert bench(run_cli, questions, "--branches", "2").status == 0
    done = bench(run_cli, questions, "--branches", "2", "--count", "2")
    assert done.status == 2
    assert_one_sentence(done.err, "holds races on other questions")


@pytest.mark.parametrize(
    "changed",
    [("--seed", "1"), ("--set", "sampling.temperature=0.5"), ("--set", "engine.model='other'")],
)
def test_races_of_before_a_change_are_not_taken_for_those_after_it(
    run_cli: RunCli, questions: Path, changed: tuple[str, ...]
) -> None:
    assert bench(run_cli, questions, "--branches", "2").status == 0
    done = bench(run_cli, questions, "--branches", "2", *changed)
    assert done.status == 2
    assert_one_sentence(done.err, "holds races of demo, config from before")


def test_nor_those_of_a_strategy_before_its_code_was_changed(
    run_cli: RunCli, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(questions.parent)
    module = questions.parent / "changing_strategy.py"
    code = "from frontrunner.strategies.majority import Majority\n\nclass Own(Majority): pass\n"
    grid = ("--branches", "2", "--strategy", "changing_strategy:Own")
    module.write_text(code)
    assert bench(run_cli, questions, *grid).status == 0
    module.write_text(code + "# changed\n")
    done = bench(run_cli, questions, *grid)
    assert done.status == 2
    assert_one_sentence(done.err, "a strategy's code")


def test_what_does_not_change_races_keeps_them(run_cli: RunCli, questions: Path) -> None:
    grid = ("--branches", "2", "--deadlines", "5")
    assert bench(run_cli, questions, *grid).status == 0
    done = bench(run_cli, questions, *grid, "--set", "race.deadline=7", "--set", "server.port=99")
    assert (done.status, "6 races are in" in done.err) == (0, True)


def test_configs_are_raced_in_turns(run_cli: RunCli, questions: Path, tmp_path: Path) -> None:
    paths: list[str] = []
    for name, branches in (("few", 2), ("many", 4)):
        path = tmp_path / f"{name}.toml"
        path.write_text(f'[engine]\nmodel = "m"\n[race]\nbranches = {branches}\n')
        paths += ["--config", str(path)]
    started: list[int] = []

    def make(settings: Any) -> Any:
        started.append(settings.race.branches)
        return scripted()(settings)

    grid = ("--strategy", "config", "--rounds", "2", "--json")
    done = bench(run_cli, questions, *paths, *grid, make=make)
    assert done.status == 0, done.err
    assert started == [2, 4, 2, 4]
    assert [(row["config"], row["races"]) for row in done.lines()] == [("few", 6), ("many", 6)]


def test_nobody_else_may_race_in_the_folder(run_cli: RunCli, questions: Path) -> None:
    folder = questions.parent / "bench"
    folder.mkdir()
    file = RaceFile(folder / "races.jsonl", [], {})
    done = bench(run_cli, questions, "--branches", "2")
    assert done.status == 2
    assert_one_sentence(done.err, "another benchmark runs in")
    file.close()


def test_a_race_is_counted_once(run_cli: RunCli, questions: Path) -> None:
    grid = ("--branches", "2", "--json")
    assert bench(run_cli, questions, *grid).status == 0
    path = questions.parent / "bench" / "races.jsonl"
    head, *races = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + b"".join(races * 3))
    assert {row["races"] for row in bench(run_cli, questions, *grid).lines()} == {3}


@pytest.mark.usefixtures("drawn")
def test_labels_are_texts(run_cli: RunCli, questions: Path, tmp_path: Path) -> None:
    config = tmp_path / r"$\frac{$ <b>.toml"
    config.write_text('[engine]\nmodel = "m"\n')
    other = tmp_path / "other.toml"
    other.write_text('[engine]\nmodel = "m"\n')
    configs = ("--config", str(config), "--config", str(other), "--branches", "2")
    done = bench(run_cli, questions, *configs)
    assert done.status == 0, done.err
    page = (questions.parent / "bench" / "report.html").read_text()
    assert "<b>" not in page


@pytest.mark.usefixtures("drawn")
def test_where_hardly_anything_is_right_an_interval_has_no_upper_end(
    run_cli: RunCli, questions: Path
) -> None:
    lines = [{"question": f"{n}?", "answer": "42" if n == 0 else "1"} for n in range(3)]
    questions.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    for row in bench(run_cli, questions, "--branches", "2", "--json").lines():
        low, high = row["tokens_per_right_interval"]
        assert low > 0
        assert high is None  # infinite


@pytest.mark.usefixtures("drawn")
def test_a_refused_race_counts_as_wrong(run_cli: RunCli, questions: Path) -> None:
    def make(settings: Any) -> Any:
        race = settings.race.model_copy(update={"queue": 0})
        slow = BranchScript.answering("42", seconds=0.2)
        return scripted(slow, max_branches=16)(settings.model_copy(update={"race": race}))

    grid = ("--strategy", "config", "--branches", "16", "--users", "3", "--json")
    done = bench(run_cli, questions, *grid, make=make)
    assert done.status == 0, done.err
    (row,) = done.lines()
    assert row["stop_reasons"]["refused"] > 0
    assert row["answered"] < 1
    assert row["elapsed_p95"] == row["deadline"]
    assert row["accuracy"] < 2 / 3


def test_a_lost_engine_ends_it_and_keeps_what_there_was(run_cli: RunCli, questions: Path) -> None:
    made: list[Any] = []

    def make(settings: Any) -> Any:
        runtime: Any = scripted()(settings)
        solve = runtime.solve

        async def and_then_die(*args: Any, **options: Any) -> Any:
            result = await solve(*args, **options)
            made.append(result)
            if len(made) == 4:
                runtime.engine.kill()
            return result

        runtime.solve = and_then_die
        return runtime

    done = bench(run_cli, questions, "--branches", "2", make=make)
    assert done.status == 1
    assert "the engine of demo failed" in done.err
    assert (questions.parent / "bench" / "races.jsonl").read_bytes().count(b"\n") >= 5


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--branches", "0"), "--branches: whole numbers above 0 are expected"),
        (("--branches", "2.5"), "--branches: whole numbers above 0"),
        (("--deadlines", "none"), "--deadlines: numbers above 0"),
        (("--users", "x"), "--users: whole numbers above 0"),
        (("--branches", "9999"), "branches"),
        (("--strategy", "nothing"), "nothing"),
        (("--strategy", "majority:stop"), "name:key=value"),
        (("--file", "none.jsonl"), "cannot read none.jsonl"),
    ],
)
def test_bad_input_is_one_sentence(
    run_cli: RunCli, questions: Path, arguments: tuple[str, ...], match: str
) -> None:
    done = bench(run_cli, questions, *arguments)
    assert done.status == 2
    assert_one_sentence(done.err, match)


def test_questions_need_answers(run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "silent.jsonl"
    path.write_text('{"question": "6 times 7?"}\n')
    done = bench(run_cli, path)
    assert done.status == 2
    assert_one_sentence(done.err, 'have no "answer"')
