"""A signal aborts every branch and leaves no process; a second one does so at once."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from frontrunner.runtime.engines.vllm.engine import model_folder

from .conftest import assert_they_end, cli_process, read_until, scripted_process, session_members


@pytest.mark.parametrize("to_group", [True, False])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_race(number: signal.Signals, status: int, to_group: bool) -> None:
    with scripted_process("endless", "solve", "q", "--deadline", "60", "--json") as started:
        read_until(started.stdout, b"branch_progressed")
        (os.killpg if to_group else os.kill)(started.pid, number)
        out, err = started.communicate()
        assert started.returncode == status
        assert b'"result"' not in out
        assert err == b""


@pytest.fixture
def talkative(tmp_path: Path) -> str:
    """A config whose engine may print while it starts."""
    config = tmp_path / "engine.toml"
    config.write_text('[log]\nlevel = "info"')
    return str(config)


def child_of(line: bytes) -> psutil.Process:
    return psutil.Process(int(line.split()[-1]))


def test_a_signal_does_not_wait_for_an_engine_to_start(talkative: str) -> None:
    with scripted_process("never-starts", "solve", "q", "--config", talkative) as started:
        child = child_of(read_until(started.stderr, b"child"))
        os.kill(started.pid, signal.SIGTERM)
        out, err = started.communicate()
        assert (started.returncode, out, err) == (143, b"", b"")
        assert_they_end([child])


def test_a_second_signal_ends_it_at_once(talkative: str) -> None:
    arguments = ("solve", "q", "--deadline", "60", "--json", "--config", talkative)
    with scripted_process("never-closes", *arguments) as started:
        child = child_of(read_until(started.stderr, b"child"))
        read_until(started.stdout, b"branch_progressed")
        os.kill(started.pid, signal.SIGINT)
        read_until(started.stderr, b"closing")
        os.kill(started.pid, signal.SIGINT)
        assert started.wait() == 130
        assert_they_end([child])


# What the model says at this temperature seldom ends before its limit.
_LONG = """
max_context_tokens = 1024
dtype = "bfloat16"
[sampling]
temperature = 2.0
max_tokens = 900
[race]
branches = 32
deadline = 60
[race.parameters]
stop = "none"
"""


@pytest.mark.engine
def test_ctrl_c_ends_a_race_on_vllm_and_all_its_processes(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    # FRONTRUNNER_TEST_MODEL names another checkpoint, as for the other tests on the engine.
    model = os.environ.get("FRONTRUNNER_TEST_MODEL", "demo")
    if not Path(model_folder(model), "config.json").exists():
        pytest.skip("the demo model is not there")
    config, questions = tmp_path / "long.toml", tmp_path / "questions.txt"
    config.write_text(f'[engine]\nmodel = "{model}"\n{_LONG}')
    questions.write_text("Tom has 12 shells. He finds 30 more. How many has he?\n" * 200)
    arguments = ("solve", "--file", str(questions), "--config", str(config), "--json")
    with cli_process(*arguments) as started:
        read_until(started.stdout, b"branch_progressed")
        below = psutil.Process(started.pid).children(recursive=True)
        assert below, "the engine runs in processes of its own"
        os.killpg(started.pid, signal.SIGINT)  # as a terminal does
        started.communicate()
        assert started.returncode == 130
        assert_they_end(below)
        assert_they_end(session_members(started.pid))
