"""How the process of a command ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import frontrunner

#: As the installed program, with what stands for vLLM, whose modules would be taken apart.
PROGRAM = """
import atexit, sys, threading, types

class Slow(types.ModuleType):
    def __del__(self):
        print("taken apart")

if "vllm" in sys.argv[1]:
    sys.modules["vllm"] = Slow("vllm")
if "a thread" in sys.argv[1]:
    threading.Thread(target=threading.main_thread().join).start()
if "one that ends" in sys.argv[1]:
    threading.Thread(target=threading.Event().wait, args=(0.1,)).start()
atexit.register(print, "at exit")
del sys.argv[1]
from frontrunner.runtime.cli import command
command()
"""


def ended(with_: str, *arguments: str) -> tuple[int, list[str]]:
    source = str(Path(frontrunner.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, with_, *arguments],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("with_", "last"),
    [
        ("nothing", ["at exit"]),
        ("vllm", ["at exit"]),
        ("vllm and a thread", ["at exit", "taken apart"]),
        ("vllm and one that ends", ["at exit"]),
    ],
)
def test_it_ends_at_once_where_taking_it_apart_takes_long(with_: str, last: list[str]) -> None:
    status, lines = ended(with_, "--version")
    assert (status, lines) == (0, [f"frontrunner {frontrunner.__version__}", *last])


def test_its_status_is_the_commands() -> None:
    status, _ = ended("vllm", "solve", "--no-such-option")
    assert status == 2
