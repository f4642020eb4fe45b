"""Bad input ends with status 2 and one sentence, before anything starts."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.runtime import Runtime

from .conftest import RunCli, cli_process, scripted


def never(settings: Settings) -> Runtime:
    raise AssertionError("no engine is wanted for this")


def assert_one_sentence(err: str, match: str) -> None:
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert re.search(match, line), line


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["solve", ""], "the question is empty"),
        (["solve", " \n "], "the question is empty"),
        (["solve", "a\udc80"], "not valid UTF-8"),
        (["solve", "q", "--deadline", "-1"], "positive number of seconds, .*not -1"),
        (["solve", "q", "--deadline", "0"], "positive number of seconds"),
        (["solve", "q", "--deadline", "nan"], "positive number of seconds"),
        (["solve", "q", "--deadline", "soon"], "--deadline"),
        (["solve", "q", "--deadline", "0.01"], "deadline of 0.01 s is too short"),
        (["solve", "q", "--branches", "0"], "between 1 and 64, not 0"),
        (["solve", "q", "--branches", "10000"], "between 1 and 64, not 10000"),
        (["solve", "q", "--branches", "1.5"], "--branches"),
        (["solve", "q", "--config", "missing.toml"], "missing.toml: cannot read it"),
        (["solve", "q", "--config", "."], "cannot read it"),
        (["solve", "q", "--strategy", "luck"], "unknown strategy 'luck'; known: single, "),
        (["solve", "q", "--param", "stop"], "key=value"),
        (["solve", "q", "--param", "=1"], "key=value"),
        (["solve", "q", "--param", "stop=sometimes"], "stop must be one of"),
        (["solve", "q", "--param", "stop=led"], "did you mean 'lead'?"),
        (["solve", "q", "--param", "zeal=3"], "majority has no parameter 'zeal'"),
        (
            ["solve", "q", "--param", "min_votes=many"],
            "min_votes must be a whole number, not 'many'",
        ),
        (["solve", "q", "--param", "branches=3"], "use --branches"),
        (["solve", "q", "-p", "stop=none", "-p", "stop=clinch"], "given twice"),
        (["solve", "--file", "missing.txt"], "cannot read missing.txt"),
        (["solve", "--file", "."], r"cannot read \."),
        (["solve", "q", "--file", "missing.txt"], "not both"),
        (["solve", "q", "and", "more"], "unexpected extra argument"),
        (["solve", "q", "--colour"], "No such option"),
        (["demo", "--count", "0"], "--count"),
        (["demo", "--branches", "65"], "between 1 and 64"),
        (["race"], "No such command"),
    ],
)
def test_bad_arguments(run_cli: RunCli, arguments: list[str], match: str) -> None:
    done = run_cli(*arguments, make_runtime=never)
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, match)


@pytest.mark.parametrize(
    ("toml", "match"),
    [
        ("[race]\nbraches = 3", r"race\.braches: unknown key"),
        ("[race]\nbranches = 0", r"race\.branches"),
        ("[race", "not valid TOML"),
        ("[race]\nbranches = 80", "exceeds engine.max_branches"),
    ],
)
def test_a_bad_config(run_cli: RunCli, tmp_path: Path, toml: str, match: str) -> None:
    config = tmp_path / "engine.toml"
    config.write_text(toml)
    done = run_cli("solve", "q", "--config", str(config), make_runtime=never)
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, match)
    assert str(config) in done.err


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_a_missing_model(tmp_path: Path) -> None:
    config = tmp_path / "engine.toml"
    config.write_text('[engine]\nmodel = "./nowhere"')
    # In a process of its own: this is about the engine that a command makes by itself.
    with cli_process("solve", "q", "--config", str(config)) as started:
        out, err = started.communicate()
    assert (started.returncode, out) == (2, b"")
    assert_one_sentence(err.decode(), f"no model in {tmp_path / 'nowhere'}")


def test_a_deadline_that_the_engine_finds_too_short(run_cli: RunCli) -> None:
    slow = scripted(step_seconds=1.0)
    done = run_cli("solve", "q", "--deadline", "1", make_runtime=slow)
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, "a deadline of 1 s is too short")


def test_a_question_that_the_model_cannot_hold(run_cli: RunCli) -> None:
    small = scripted(max_context_tokens=40)
    done = run_cli("solve", "word " * 40, make_runtime=small)
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, "the prompt has 40 tokens")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.txt", b"\n \n", "holds no question"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.jsonl", b'{"question": "q"}\nnonsense', "line 2: not JSON"),
        ("a.jsonl", b'{"query": "q"}', 'line 1: an object with "question"'),
        ("a.jsonl", b'["q"]', 'line 1: an object with "question"'),
        ("a.NDJSON", b'["q"]', 'line 1: an object with "question"'),
        ("a.json", b"[\n{}]", "line 1: not JSON"),
        ("a.jsonl", b'{"question": ""}', "line 1: the question is empty"),
        ("a.jsonl", b'{"question": 3}', '"question" must be a text'),
        ("a.jsonl", b'{"question": "q", "answer": [3]}', '"answer" must be'),
        ("a.jsonl", b'{"messages": "q"}', '"messages" must be a list'),
        ("a.jsonl", b'{"messages": [{"role": "user"}]}', '"messages" must be a list'),
        ("a.jsonl", b'{"messages": []}', "the question is empty"),
    ],
)
def test_a_bad_file(run_cli: RunCli, tmp_path: Path, name: str, content: bytes, match: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    done = run_cli("solve", "--file", str(file), make_runtime=never)
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, match)


def test_no_question_at_all(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    done = run_cli("solve", make_runtime=never)
    assert (done.status, done.out) == (2, "")
    assert_one_sentence(done.err, "no question")
