"""What ``solve`` prints, and what it returns."""

import gc
import io
from pathlib import Path

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.engines.protocol import EngineLoad
from frontrunner.runtime.runtime import Runtime

from .conftest import RunCli, scripted, scripted_process

ANSI = "\x1b"


def test_lines_of_text_where_there_is_no_terminal(run_cli: RunCli) -> None:
    done = run_cli("solve", "q", "--branches", "4")
    assert (done.status, done.err) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert facts["answer"] == "42"
    assert facts["time"].endswith("s of 10 s")
    assert set(facts) == {
        "answer", "confidence", "called", "time", "votes", "branches", "tokens",
    }  # fmt: skip
    assert ANSI not in done.out


def test_json_is_one_object_a_line_and_ends_with_the_result(run_cli: RunCli) -> None:
    done = run_cli("solve", "q", "--branches", "4", "--deadline", "5", "--seed", "3", "--json")
    assert (done.status, done.err) == (0, "")
    *events, last = done.lines()
    assert events[0] | {"race_id": "", "at": 0} == {
        "event": "race_started",
        "at": 0,
        "race_id": "",
        "deadline": 5.0,
        "branches": 4,
        "prompt_tokens": 1,
        "instruction": None,
        "thinking": None,
    }
    assert {e["event"] for e in events} >= {"branch_started", "branch_progressed", "branch_ended"}
    assert not any("result" in e or "question" in e for e in events)

    assert last["event"] == "race_decided"
    result = last["result"]
    assert result["answer"] == "42"
    assert result["text"].endswith("\\boxed{42}")
    assert result["stop_reason"] in ("clinched", "confident_majority", "exhausted")
    assert result["elapsed"] > 0
    assert result["deadline"] == 5.0
    assert 0 <= result["confidence"] <= 1
    assert set(result["votes"]) == {"42"}
    assert result["forced_votes"] == {}
    assert {"prompt_tokens", "tokens_generated", "tokens_saved"} <= set(result)
    assert [b["index"] for b in result["branches"]] == [0, 1, 2, 3]
    assert {b["status"] for b in result["branches"]} <= {"finished", "cancelled"}


def test_json_stays_clean_beside_an_engine_that_prints() -> None:
    with scripted_process("noisy", "solve", "q", "--json") as started:
        out, err = started.communicate()
    assert started.returncode == 0
    assert all(line.startswith(b'{"event":') for line in out.splitlines())
    assert b"rank 0" not in out + err, "what an engine says at its start is shown if it fails"


def test_what_an_engine_said_is_shown_if_it_does_not_start() -> None:
    with scripted_process("fails-to-start", "solve", "q") as started:
        out, err = started.communicate()
    assert (started.returncode, out) == (2, b"")
    assert err.decode().splitlines() == [
        "engine: loading",
        "engine: out of luck",
        "error: the engine did not start: no luck",
    ]


def test_quiet_is_the_answer_alone(run_cli: RunCli) -> None:
    done = run_cli("solve", "q", "--quiet")
    assert (done.status, done.out, done.err) == (0, "42\n", "")


def test_uvloop_changes_nothing_to_be_seen(run_cli: RunCli) -> None:
    pytest.importorskip("uvloop")
    done = run_cli("solve", "q", "--quiet", "--uvloop")
    assert (done.status, done.out, done.err) == (0, "42\n", "")


def test_parameters_reach_the_strategy(run_cli: RunCli) -> None:
    arguments = ("--strategy", "majority", "--param", "stop=none", "--param", "force_answers=false")
    done = run_cli("solve", "q", "--branches", "5", *arguments, "--json")
    result = done.lines()[-1]["result"]
    assert (result["votes"], result["stop_reason"]) == ({"42": 5}, "exhausted")


def test_no_answer_is_status_1(run_cli: RunCli) -> None:
    lost = scripted(BranchScript(error="lost"))
    done = run_cli("solve", "q", "--quiet", make_runtime=lost)
    assert (done.status, done.out) == (1, "\n")
    assert done.err == "error: no answer: every branch was lost\n"


def test_an_engine_that_dies_is_status_1(run_cli: RunCli) -> None:
    def dying(settings: Settings) -> Runtime:
        branch = BranchScript.answering("42", seconds=5.0)
        return Runtime(ScriptedEngine(Script((branch,), dies_at=0.05)), settings)

    done = run_cli("solve", "q", "--json", make_runtime=dying)
    assert done.status == 1
    assert done.lines()[-1]["result"]["stop_reason"] == "failed"


def test_hostile_text_cannot_reach_the_terminal(run_cli: RunCli) -> None:
    hostile = scripted(BranchScript.answering("4\x1b[2J2\x9b31m\u202e", seconds=0.02))
    for arguments in (["--quiet"], []):
        done = run_cli("solve", "q", *arguments, make_runtime=hostile)
        assert not {"\x1b", "\x9b", "\u202e"} & set(done.out)


@pytest.mark.parametrize("argument", [["-"], []])
def test_the_question_may_come_from_standard_input(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, argument: list[str]
) -> None:
    engines: list[ScriptedEngine] = []

    def make(settings: Settings) -> Runtime:
        engines.append(ScriptedEngine(Script((BranchScript.answering("42", seconds=0.02),))))
        return Runtime(engines[0], settings)

    monkeypatch.setattr("sys.stdin", io.StringIO("how many\nare they?\n"))
    done = run_cli("solve", *argument, "--quiet", make_runtime=make)
    assert (done.status, done.out) == (0, "42\n")
    assert engines[0].requests[0].prompt == engines[0].encode("how many are they?")


def test_a_file_of_lines(run_cli: RunCli, tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_text("one?\n\ntwo?\n")
    done = run_cli("solve", "--file", str(file))
    assert done.status == 0
    first, second, closing = done.out.splitlines()
    assert first.startswith("1/2 42 ")
    assert second.startswith("2/2 42 ")
    assert closing.startswith("2 questions, 2 answered, 2 in time, ")


JSONL = r"""
{"question": "one?", "answer": 42}
{"problem": "two?", "answer": "\\frac{84}{2}"}
{"messages": [{"role": "user", "content": "three?"}], "answer": "43"}
"""


def test_a_file_of_json_with_answers(run_cli: RunCli, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(JSONL)
    done = run_cli("solve", "--file", str(file))
    assert done.status == 0
    *races, closing = done.out.splitlines()
    assert [race[:6] for race in races] == ["1/3 ✓ ", "2/3 ✓ ", "3/3 ✗ "]
    assert "(right: 43)" in races[2]
    assert "2 of 3 right (67%)" in closing


def test_a_file_as_json(run_cli: RunCli, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(JSONL)
    done = run_cli("solve", "--file", str(file), "--json")
    assert (done.status, done.err) == (0, "")
    lines = done.lines()
    assert [line["question"] for line in lines] == sorted(line["question"] for line in lines)
    results = [line for line in lines if "result" in line]
    assert [(r["question"], r["expected"], r["correct"]) for r in results] == [
        (0, "42", True),
        (1, "\\frac{84}{2}", True),
        (2, "43", False),
    ]
    for number in range(3):
        assert "result" in [line for line in lines if line["question"] == number][-1]


def test_a_question_that_is_refused_does_not_keep_the_others_from_it(
    run_cli: RunCli, tmp_path: Path
) -> None:
    file = tmp_path / "questions.txt"
    file.write_text(f"one?\n{'word ' * 40}\nthree?\n")
    small = scripted(max_context_tokens=40)
    done = run_cli("solve", "--file", str(file), make_runtime=small)
    assert done.status == 2
    assert done.out.splitlines()[-1].startswith("3 questions, 2 answered")
    assert done.err.startswith("error: question 2: the prompt has 40 tokens")

    done = run_cli("solve", "--file", str(file), "--json", make_runtime=small)
    refused = [line for line in done.lines() if line["event"] == "question_refused"]
    assert [line["question"] for line in refused] == [1]


def test_a_dead_engine_ends_the_file(run_cli: RunCli, tmp_path: Path) -> None:
    def dying(settings: Settings) -> Runtime:
        branch = BranchScript.answering("42", seconds=5.0)
        return Runtime(ScriptedEngine(Script((branch,), dies_at=0.05)), settings)

    file = tmp_path / "questions.txt"
    file.write_text("one?\ntwo?\n")
    done = run_cli("solve", "--file", str(file), make_runtime=dying)
    assert done.status == 1
    assert done.out.splitlines()[-1].startswith("2 questions, 0 answered")
    assert done.err == "error: the scripted engine died\n"


def test_an_answer_that_was_forced_is_told_as_one(run_cli: RunCli, tmp_path: Path) -> None:
    endless = scripted(BranchScript(stall=True))
    done = run_cli("solve", "q", "--branches", "2", "--deadline", "1", make_runtime=endless)
    facts = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert facts["answer"] == "7"
    assert facts["note"].startswith("No branch answered by itself: of 2, 2 forced to answer.")
    questions = tmp_path / "questions.txt"
    questions.write_text("one\ntwo\n")
    arguments = ("--file", str(questions), "--branches", "2", "--deadline", "1")
    done = run_cli("solve", *arguments, make_runtime=scripted(BranchScript(stall=True)))
    assert done.out.count("no branch answered") == 2


def test_races_are_held_up_by_no_full_garbage_collection(run_cli: RunCli) -> None:
    before, meanwhile = gc.get_threshold(), list[tuple[int, int, int]]()

    class Watching(ScriptedEngine):
        def load(self) -> EngineLoad:
            meanwhile.append(gc.get_threshold())
            return super().load()

    def make(settings: Settings) -> Runtime:
        script = Script((BranchScript.answering("42", seconds=0.02),))
        return Runtime(Watching(script), settings)

    assert run_cli("solve", "q", "--json", make_runtime=make).status == 0
    assert {thresholds[1] for thresholds in meanwhile} == {3}  # see test_collector.py
    assert gc.get_threshold() == before
