"""``solve`` on a server that runs already: found by its config, or named."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

import frontrunner
from frontrunner.runtime.cli import main
from frontrunner.runtime.cli.common import engine_startup
from frontrunner.runtime.cli.display.best_so_far import BestSoFar
from frontrunner.runtime.common.config_identity import RACING_TABLES, ConfigIdentity
from frontrunner.runtime.config import Settings
from frontrunner.runtime.events.types import VoteChanged
from frontrunner.runtime.traces.trace_files import read_traces

from .conftest import Done, cli_process, read_until, scripted_process

pytestmark = pytest.mark.slow  # it starts processes of its own


CONFIG = "[server]\nport = 0\n\n[race]\nbranches = 4\n"


class Asking:
    """The command line in this process, without an engine that it could start."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *argv: str) -> Done:
        self._capfd.readouterr()
        status = main(argv)
        out, err = self._capfd.readouterr()
        return Done(status, out, err)


class StartsAnEngine(Exception):
    pass


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Asking:
    def start(settings: Settings) -> None:
        raise StartsAnEngine

    monkeypatch.setattr(engine_startup, "configured", start)
    return Asking(capfd)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(CONFIG)
    return path


def address_of(process: subprocess.Popen[bytes]) -> str:
    line = read_until(process.stdout, b"serving").decode()
    return line.split(" on ")[1].strip().removesuffix("/v1")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A config and the address of its server, which all tests ask that only ask."""
    path = tmp_path_factory.mktemp("served") / "mine.toml"
    path.write_text(CONFIG)
    with scripted_process("answers", "serve", "--config", str(path)) as process:
        yield path, address_of(process)


@pytest.fixture
def served_config(served: tuple[Path, str]) -> Path:
    return served[0]


@pytest.fixture
def address(served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's, which the config's own port leads to."""
    monkeypatch.setenv("FRONTRUNNER_SERVER_PORT", served[1].rpartition(":")[2])
    return served[1]


def test_a_server_on_the_same_config_is_asked(
    ask: Asking, served_config: Path, address: str
) -> None:
    done = ask("solve", "q", "--config", str(served_config), "--quiet")
    assert (done.status, done.out, done.err) == (0, "42\n", "")


def test_its_events_are_those_of_a_race_here(ask: Asking, address: str) -> None:
    done = ask("solve", "q", "--url", address, "--json", "--answer", "42", "--branches", "2")
    assert (done.status, done.err) == (0, "")
    *events, last = done.lines()
    assert events[0]["event"] == "race_started"
    assert {"branch_started", "branch_progressed", "branch_ended", "vote_changed"} <= {
        event["event"] for event in events
    }
    assert (last["event"], last["correct"]) == ("race_decided", True)
    result = last["result"]
    assert result["answer"] == "42"
    assert result["text"].endswith("\\boxed{42}")
    assert result["votes"]["42"] >= 1
    assert [branch["index"] for branch in result["branches"]] == [0, 1]
    assert sum(branch["tokens"] for branch in result["branches"]) == result["tokens_generated"]


def test_its_races_are_written_down(ask: Asking, address: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.ndjson"
    arguments = ("--trace", str(trace), "--answer", "42", "--param", "stop=none")
    assert ask("solve", "q", "--url", address, "--branches", "3", *arguments).status == 0
    (question,) = read_traces([trace])
    assert [branch.answer for branch in question.branches] == ["42"] * 3


@pytest.mark.parametrize(
    "more",
    [
        ("--set", "race.branches=5"),
        ("--own-engine",),
        ("--strategy", "examples.own_strategy:Agreement"),
    ],
)
def test_what_that_server_does_not_do_is_raced_here(
    ask: Asking, served_config: Path, address: str, more: tuple[str, ...]
) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        ask("solve", "q", "--config", str(served_config), *more)
    assert caught.group_contains(StartsAnEngine)


def test_what_the_server_refuses_is_said(ask: Asking, address: str) -> None:
    done = ask("solve", "q", "--url", address, "--branches", "2000")
    assert done.status == 2
    assert "branches must lie between 1 and 256" in done.err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:9", "no server answers at http://127.0.0.1:9"),
        ("unix:/nowhere/at/all", "no server answers at unix:/nowhere/at/all"),
        ("localhost:8000", "--url takes an address such as"),
        ("http://host:port", "--url http://host:port"),
    ],
)
def test_a_server_that_is_not_there(ask: Asking, url: str, said: str) -> None:
    done = ask("solve", "q", "--url", url)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_a_strategy_without_its_reward_model_starts_no_engine(ask: Asking, config: Path) -> None:
    done = ask("solve", "q", "--config", str(config), "--strategy", "best_of_n")
    assert done.status == 2
    assert "best_of_n needs a reward model: set [rewards]" in done.err


def test_url_and_config_do_not_go_together(ask: Asking, config: Path) -> None:
    done = ask("solve", "q", "--url", "http://127.0.0.1:9", "--config", str(config))
    assert done.status == 2
    assert "leave out --config" in done.err


def test_over_a_unix_socket_with_a_key(
    ask: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, path = tmp_path / "mine.toml", tmp_path / "server.sock"
    (tmp_path / "keys").write_text("# of the tests\nme: s3cr3t\n")
    config.write_text('[server]\nsocket = "server.sock"\nkey_file = "keys"\n')
    with scripted_process("answers", "serve", "--config", str(config)) as process:
        assert address_of(process) == f"unix:{path}"
        assert ask("solve", "q", "--config", str(config), "--quiet").out == "42\n"
        refused = ask("solve", "q", "--url", f"unix:{path}")
        assert refused.status == 2
        assert "FRONTRUNNER_API_KEY" in refused.err
        monkeypatch.setenv("FRONTRUNNER_API_KEY", "s3cr3t")
        assert ask("solve", "q", "--url", f"unix:{path}", "--quiet").out == "42\n"
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
    assert not path.exists()


def test_none_of_an_engine_is_imported_for_it(served_config: Path, address: str) -> None:
    program = (
        "import sys; from frontrunner.runtime.cli import main; "
        f"status = main(['solve', 'q', '--config', {str(served_config)!r}, '--quiet']); "
        "heavy = {'sympy', 'aiohttp', 'structlog', 'frontrunner.runtime.config'}; "
        "print(status, sorted(heavy & set(sys.modules)))"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(frontrunner.__file__).parents[1])}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, env=environ, text=True)
    assert done.stdout.splitlines() == ["42", "0 []"]


def test_ctrl_c_says_how_far_it_got_and_ends_the_race(config: Path) -> None:
    with scripted_process("endless", "serve", "--config", str(config)) as server:
        url = address_of(server)
        with cli_process("solve", "q", "--url", url, "--deadline", "600") as asking:
            wait_for_races(url, lambda running: running > 0)
            asking.send_signal(signal.SIGINT)
            _, err = asking.communicate()
        wait_for_races(url, lambda running: running == 0)
    assert asking.returncode == 130
    assert err.startswith(b"broken off after ")
    assert err.endswith(b": no branch had answered yet\n")


def wait_for_races(url: str, enough: Callable[[float], bool]) -> None:
    """Until the server runs so many races."""
    while True:
        with urlopen(f"{url}/metrics") as response:
            lines = response.read().decode().splitlines()
        (line,) = [line for line in lines if line.startswith("frontrunner_races_running ")]
        if enough(float(line.split()[-1])):
            return
        time.sleep(0.02)  # without taking the time of what is waited for


def test_the_best_answer_so_far() -> None:
    best = BestSoFar()
    assert best.said() == ""
    best.begin()
    best.end()
    assert best.said().endswith("s: no branch had answered yet")
    best.begin()
    best.take(VoteChanged(0.5, votes={"42": 2, "7": 1}, leader="42"))
    best.end()
    assert best.said().endswith("s; best so far: 42 (2 of 3 votes)")
    best.begin()
    best.take(VoteChanged(0.5, forced_votes={"7": 1}, leader="\x1b7"))
    best.end()
    assert best.said().endswith("s; best so far: 7 (by forced answers)")


def test_every_table_says_what_is_raced_or_how_it_is_served() -> None:
    assert {*RACING_TABLES, "server", "vllm_plugin", "log"} == set(Settings.model_fields)


def test_the_fingerprint_is_of_what_is_raced(config: Path) -> None:
    def of(*sets: str, **environ: str) -> str:
        identity = ConfigIdentity.read(config, sets, environ)
        assert identity is not None
        return identity.fingerprint

    plain = of()
    assert of("server.port=9", FRONTRUNNER_SERVER_HOST="::1", FRONTRUNNER_KEYS="k") == plain
    assert of("race.branches=8") != plain
    assert of(FRONTRUNNER_RACE_BRANCHES="8") != plain
    config.write_text(config.read_text().replace("port = 0", "port = 1"))
    assert of() == plain
    config.write_text(config.read_text().replace("branches = 4", "branches = 5"))
    assert of() != plain


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", "http://127.0.0.1:8000"),
        ('[server]\nhost = "0.0.0.0"\nport = 9', "http://127.0.0.1:9"),
        ('[server]\nhost = "::1"', "http://[::1]:8000"),
        ('[server]\nsocket = "/run/f.sock"', "unix:/run/f.sock"),
    ],
)
def test_where_a_server_of_a_config_listens(tmp_path: Path, text: str, address: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    identity = ConfigIdentity.read(path, (), {})
    assert identity is not None
    assert identity.address == address


def test_a_file_that_cannot_be_read_is_left_to_others(tmp_path: Path) -> None:
    assert ConfigIdentity.read(tmp_path / "none.toml") is None
