"""A soak on a server of its own: what it asks, what it writes, and that nothing is left."""

import os
import signal
import time
from pathlib import Path

import orjson
import pytest

from .conftest import RunCli, read_until, scripted_process, session_members

pytestmark = pytest.mark.slow  # it starts processes of its own


def test_a_short_soak(tmp_path: Path) -> None:
    arguments = ("soak", "--deadline", "20", "--sample-every", "0.2", "--pause", "0", "--json")
    more = ("--duration", "2s", "--cancels", "0.5", "--out", str(tmp_path))
    with scripted_process("answers", *arguments, *more) as started:
        out, err = started.communicate()
        told = orjson.loads(out)
        assert started.returncode == 0, err
        assert session_members(started.pid) == []
    assert told["held"], told["problems"]
    assert told["races"] > 0
    assert told["ends"]["answered"] > 0
    assert told["server_bytes"] > 1 << 20
    assert (tmp_path / "soak.png").exists()
    lines = (tmp_path / "soak.jsonl").read_bytes().splitlines()
    kinds = {orjson.loads(line).get("kind") for line in lines}
    assert kinds == {None, "run_began", "race", "sample", "run_ended"}
    # All of it has been run: the summary alone is shown.
    with scripted_process("answers", *arguments, *more) as started:
        out, _ = started.communicate()
        assert orjson.loads(out) == told


def test_ctrl_c_gives_the_summary_so_far(tmp_path: Path) -> None:
    arguments = ("soak", "--deadline", "20", "--duration", "8h", "--sample-every", "0.2")
    with scripted_process("answers", *arguments, "--out", str(tmp_path)) as started:
        log = tmp_path / "soak.jsonl"
        while not log.exists() or log.read_bytes().count(b'"answered"') < 3:
            assert started.poll() is None, started.stderr.read() if started.stderr else ""
            time.sleep(0.05)  # without taking the time of what is waited for
        os.kill(started.pid, signal.SIGINT)
        assert b"all held" in read_until(started.stdout, b"held")
        _, err = started.communicate()
        assert started.returncode == 130
        assert b"run the same command again to go on" in err
    assert b'"run_ended"' in log.read_bytes().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--duration", "soon"], "--duration takes a time such as 90s, 10m or 8h"),
        (["--duration", "0s"], "--duration takes a time"),
        (["--set", "server.keys_env=KEYS"], "soak asks without a key"),
        (["--deadline", "0.05"], "deadline"),
    ],
)
def test_what_is_refused(
    run_cli: RunCli, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    done = run_cli("soak", "--out", str(tmp_path), *arguments)
    assert done.status == 2
    assert problem in done.err


def test_only_engines_of_its_own_are_killed(run_cli: RunCli, tmp_path: Path) -> None:
    config = tmp_path / "remote.toml"
    config.write_text('[engine]\nkind = "openai"\nurl = "http://127.0.0.1:1"\n')
    done = run_cli("soak", "--config", str(config), "--kill-every", "60", "--out", str(tmp_path))
    assert done.status == 2
    assert "--kill-every kills processes of vLLM that the server starts" in done.err
