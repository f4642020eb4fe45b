"""``frontrunner convert`` as a user meets it."""

from pathlib import Path

import orjson

from ..experiments.data import scored_file, scored_line
from .conftest import RunCli
from .test_bad_input import assert_one_sentence


def sample(folder: Path) -> str:
    line = scored_line(
        responses=["x" * 30, "y" * 60, "z" * 90],
        extracted=["0.5", "1/2", "3"],
        correct=[True, True, False],
        rewards=[1.0, 2.0, 3.0],
    )
    return str(scored_file(folder, line))


def test_equal_answers_are_spelled_alike(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("convert", sample(tmp_path))
    assert (done.status, done.err) == (0, "")
    (line,) = done.lines()
    assert line["answers"][0] == line["answers"][1] != line["answers"][2]
    assert line["lengths"] == [10, 20, 30]
    assert line["right"] == [True, True, False]
    assert line["scores"] == [1.0, 2.0, 3.0]


def test_what_is_written_can_be_replayed(run_cli: RunCli, tmp_path: Path) -> None:
    out = tmp_path / "plain.jsonl"
    done = run_cli("convert", sample(tmp_path), "--out", str(out))
    assert (done.status, done.out, done.err) == (0, "", "")
    assert orjson.loads(out.read_bytes())["gold"]
    done = run_cli("replay", str(out), "--branches", "3", "--draws", "5", "--json")
    assert done.status == 0
    assert {row["accuracy"] for row in done.lines()} == {1.0}


def test_a_file_that_cannot_be_written_is_one_sentence(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("convert", sample(tmp_path), "--out", str(tmp_path / "none" / "x"))
    assert done.status == 2
    assert_one_sentence(done.err, "cannot write")
