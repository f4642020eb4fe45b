"""Help is quick, and teaches."""

import subprocess
import sys

import pytest

from frontrunner import __version__

from .conftest import RunCli, process

HEAVY = {"torch", "transformers", "vllm", "numpy", "aiohttp", "frontrunner.runtime.runtime"}


@pytest.mark.parametrize(
    "command",
    [
        *("solve", "serve", "demo", "doctor", "replay", "calibrate", "convert", "profile"),
        *("pilot", "plan", "bench", "soak"),
    ],
)
def test_the_help_of_a_command_has_examples(run_cli: RunCli, command: str) -> None:
    done = run_cli(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert "Examples" in done.out
    assert f"frontrunner {command}" in done.out
    assert "Exit status" in done.out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_help_of_the_program_names_the_commands(run_cli: RunCli, arguments: list[str]) -> None:
    done = run_cli(*arguments)
    assert (done.status, done.err) == (0, "")
    assert all(
        f"{name}  " in done.out
        for name in (
            "solve",
            "serve",
            "demo",
            "doctor",
            "replay",
            "calibrate",
            "convert",
            "bench",
            "profile",
            "pilot",
            "plan",
            "soak",
        )
    )


def test_the_version(run_cli: RunCli) -> None:
    done = run_cli("--version")
    assert (done.status, done.out, done.err) == (0, f"frontrunner {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["solve", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from frontrunner.runtime.cli import main; main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    with process(sys.executable, "-c", code, *arguments, stdout=subprocess.DEVNULL) as started:
        _, err = started.communicate()
    assert not HEAVY & set(err.decode().split())
