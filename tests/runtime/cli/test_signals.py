"""A signal aborts every branch and leaves no process; a second one does so at once."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from .conftest import assert_they_end, read_until, scripted_process

pytestmark = pytest.mark.slow  # it starts processes of its own


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
