"""``frontrunner calibrate`` as a user meets it."""

import tomllib
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.racing.accuracy_map import AccuracyMap

from ..experiments.data import probed_file, real_data, scored_file, scored_line
from .conftest import RunCli
from .test_bad_input import assert_one_sentence


def sample(folder: Path, count: int = 40) -> str:
    """Questions whose first branch has a low score and is wrong, and whose second is right."""
    lines = [
        scored_line(
            id=number,
            responses=["x" * 30, "y" * (60 + number), "z" * 120],
            extracted=["3", "1/2", "1/2"],
            correct=[False, True, True],
            rewards=[1.0, 2.5, 3.0],
        )
        for number in range(count)
    ]
    return str(scored_file(folder, *lines))


def test_what_is_printed_is_a_config(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("calibrate", sample(tmp_path), "--precision", "0.85")
    assert (done.status, done.err) == (0, "")
    config = tomllib.loads(done.out)
    assert config == {"race": {"strategy": "best_of_n", "parameters": {"threshold": 2.5}}}
    assert Settings.model_validate(config).race.parameters == {"threshold": 2.5}
    for words in ("85 %", "90 % confidence", "fitted on", "held out", "100.0 %", "tokens saved"):
        assert words in done.out


def test_json_holds_both_parts(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("calibrate", sample(tmp_path), "--precision", "0.85", "--json")
    assert (done.status, done.err) == (0, "")
    (found,) = done.lines()
    assert (found["threshold"], found["reached"], found["confidence"]) == (2.5, True, 0.9)
    for part in ("fitted_on", "held_out"):
        figures: dict[str, Any] = found[part]
        assert (figures["questions"], figures["precision"]) == (20, 1.0)
        assert 0.85 < figures["precision_bound"] < 1.0
        assert (figures["stopped_share"], figures["branches_cut"]) == (1.0, pytest.approx(1 / 3))


def test_without_a_bound_few_questions_are_enough(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("calibrate", sample(tmp_path, 2), "--precision", "0.99", "--bound", "none")
    assert (done.status, done.err) == (0, "")
    assert "threshold = 2.5" in done.out


def test_the_share_held_out_is_asked_for(run_cli: RunCli, tmp_path: Path) -> None:
    arguments = ("calibrate", sample(tmp_path), "--precision", "0.5", "--json", "--holdout", "0.25")
    (found,) = run_cli(*arguments).lines()
    assert (found["fitted_on"]["questions"], found["held_out"]["questions"]) == (30, 10)


def test_too_few_decisions_show_the_closest(run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("calibrate", sample(tmp_path), "--precision", "0.95")
    assert done.status == 1
    assert tomllib.loads(done.out) == {}
    assert "The closest: 2.5" in done.out
    assert_one_sentence(
        done.err,
        r"no threshold has .* of 95 %: .* smoothed, is 88\.\d %, at 2\.5; .* at least 100",
    )


def test_no_threshold_is_that_precise(run_cli: RunCli, tmp_path: Path) -> None:
    wrong = scored_line(correct=[False, False, False], extracted=["3", "4", "5"])
    path = str(scored_file(tmp_path, wrong, wrong))
    done = run_cli("calibrate", path, "--precision", "0.9", "--bound", "none", "--json")
    assert done.status == 1
    (found,) = done.lines()
    assert (found["reached"], found["smoothed"]) == (False, 0.0)
    assert_one_sentence(
        done.err, r"no threshold has a precision of 90 %: the best, smoothed, is 0\.0 %"
    )


def test_a_threshold_that_does_not_hold_is_said(run_cli: RunCli, tmp_path: Path) -> None:
    right = scored_line(rewards=[3.0, 1.0, 1.0])
    wrong = scored_line(extracted=["4", "1/2", "3"], correct=[False, True, False])
    path = str(scored_file(tmp_path, right, wrong.replace(b"[0.5,2.5", b"[3.5,2.5")))
    errors = {
        run_cli(
            *("calibrate", path, "--precision", "0.9", "--bound", "none", "--seed", str(seed))
        ).err
        for seed in range(8)
    }
    assert any("on the held-out questions its precision is 0.0 %" in err for err in errors)


def test_questions_without_scores_are_left_out_and_said(run_cli: RunCli, tmp_path: Path) -> None:
    sample(tmp_path)
    path = tmp_path / "scored.jsonl"
    path.write_bytes(path.read_bytes() + scored_line(rewards=[None, None, None]))
    done = run_cli("calibrate", str(path), "--precision", "0.5")
    assert done.status == 0
    assert done.err == "warning: 1 of 41 questions have no scored branch and are left out\n"


def test_own_traces_are_read_and_what_was_cut_is_said(run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "races.ndjson"
    branches = [
        {"branch": 0, "status": "finished", "tokens": 9, "answer": "4", "scores": [[9, 0.25]]},
        {"branch": 1, "status": "finished", "tokens": 20, "answer": "7", "scores": [[20, 0.75]]},
        {"branch": 2, "status": "cancelled", "tokens": 20},
    ]
    path.write_bytes(
        b"".join(
            orjson.dumps(
                {"frontrunner_trace": 1, "question": q, "gold": "7", "branches": branches},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for q in "abcd"
        )
    )
    done = run_cli("calibrate", str(path), "--precision", "0.9", "--bound", "none")
    assert done.status == 0
    assert tomllib.loads(done.out)["race"]["parameters"]["threshold"] == 0.75
    assert done.err.startswith("warning: 4 of 12 recorded branches were cut or forced")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["none.json", "--precision", "0.9"], r"none.json: cannot be read"),
        (["FILE"], "--precision"),
        (["FILE", "--precision", "1"], "--precision must be between 0 and 1"),
        (["FILE", "--precision", "nan"], "--precision must be between 0 and 1"),
        (["FILE", "--precision", "high"], "--precision"),
        (["FILE", "--precision", "0.9", "--confidence", "1"], "--confidence must be at least 0.5"),
        (["FILE", "--precision", "0.9", "--confidence", "0.4"], "--confidence must be at least"),
        (["FILE", "--precision", "0.9", "--holdout", "0"], "--holdout must be between 0 and 1"),
        (["FILE", "--precision", "0.9", "--holdout", "1"], "--holdout must be between 0 and 1"),
        (["FILE", "--precision", "0.9", "--bound", "guess"], "--bound takes wilson or none"),
        (["FILE", "--precision", "0.9"], "too few to calibrate on: .* one to check on"),
        (["PROBED", "--precision", "0.9"], "no branch with both an answer and a score"),
        (["--precision", "0.9"], "Missing argument"),
    ],
)
def test_bad_input_is_refused_with_one_sentence(
    run_cli: RunCli, tmp_path: Path, arguments: list[str], match: str
) -> None:
    names = {"FILE": str(scored_file(tmp_path)), "PROBED": str(probed_file(tmp_path))}
    done = run_cli("calibrate", *(names.get(part, part) for part in arguments))
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, match)


def test_help_teaches(run_cli: RunCli) -> None:
    done = run_cli("calibrate", "--help")
    assert (done.status, done.err) == (0, "")
    for words in ("Examples", "frontrunner calibrate", "Exit status", "--holdout", "best_of_n"):
        assert words in done.out


def test_real_rewards_hold_on_the_other_half(run_cli: RunCli) -> None:
    path = str(real_data("math_rm8.jsonl"))
    done = run_cli("calibrate", path, "--precision", "0.9", "--json")
    assert done.status == 0
    (found,) = done.lines()
    assert found["fitted_on"]["precision_bound"] >= 0.9
    assert found["held_out"]["precision"] >= 0.9
    assert found["held_out"]["tokens_saved"] > 0.05


# ── what a confidence is worth ────────────────────────────────────────────────────────────────────


def pilot(folder: Path, questions: int = 30) -> str:
    """Whole branches, probed once; three of four questions are answered wrongly by most."""
    lines: list[bytes] = []
    for number in range(questions):
        branches = [
            {
                "branch": index,
                "status": "finished",
                "tokens": 40 + index,
                "answer": "8" if (index + number) % 5 else "9",
                "probes": [[32, "8"]],
            }
            for index in range(6)
        ]
        gold = "9" if number % 4 else "8"
        line = {"frontrunner_trace": 1, "question": f"q{number}", "gold": gold}
        lines.append(orjson.dumps({**line, "branches": branches}))
    path = folder / "pilot.ndjson"
    path.write_bytes(b"\n".join(lines))
    return str(path)


def test_what_a_confidence_is_worth_is_written_for_the_config(
    run_cli: RunCli, tmp_path: Path
) -> None:
    out = tmp_path / "accuracy.json"
    done = run_cli("calibrate", pilot(tmp_path), "--accuracy", str(out), "--branches", "4")
    assert (done.status, done.err) == (0, "")
    assert tomllib.loads(done.out) == {"race": {"calibration": str(out)}}
    assert "held-out" in done.out
    known = AccuracyMap.read(out)
    assert (known.strategy, known.branches, known.questions) == ("majority", 4, 30)
    for forced in (False, True):
        sure = known.estimate(0.99, forced=forced)
        assert sure is not None
        assert sure < 0.5
    done = run_cli("calibrate", pilot(tmp_path), "--accuracy", str(out), "-b", "4", "--json")
    (told,) = done.lines()
    assert told["held_out_error"]["accuracy_estimate"] < told["held_out_error"]["confidence"]


def test_few_questions_are_warned_of_and_too_few_refused(run_cli: RunCli, tmp_path: Path) -> None:
    out = str(tmp_path / "accuracy.json")
    done = run_cli("calibrate", pilot(tmp_path, 8), "--accuracy", out, "-b", "4")
    assert done.status == 0
    assert "8 questions say little" in done.err
    done = run_cli("calibrate", pilot(tmp_path, 8), "--accuracy", out)
    assert done.status == 2
    assert_one_sentence(done.err, "16 whole branches")


def test_it_is_said_what_is_to_be_fitted(run_cli: RunCli, tmp_path: Path) -> None:
    for more in ([], ["--precision", "0.9", "--accuracy", "x.json"]):
        done = run_cli("calibrate", sample(tmp_path), *more)
        assert done.status == 2
        assert "either --precision" in done.err
