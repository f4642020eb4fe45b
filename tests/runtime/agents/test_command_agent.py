"""Programs as agents: nothing of them is left, whatever ends the race."""

import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.backends import STEADY_ASYNCIO, until

from frontrunner import Runtime
from frontrunner.agents import AgentEngine, command_agent
from frontrunner.strategies.protocol import BranchStatus

pytestmark = pytest.mark.slow  # it starts processes of its own


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return STEADY_ASYNCIO


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


ECHO = """
import os, sys
print("thinking", flush=True)
print(sys.stdin.read().upper(), os.environ["FRONTRUNNER_SEED"] != "")
print()
"""
#: Starts a child that ignores SIGTERM, as it does itself; both write down who they are.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time\\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\nprint('up', flush=True)\\ntime.sleep(600)"],
    stdout=subprocess.PIPE)
child.stdout.readline()
folder, number = sys.argv[1], os.environ["FRONTRUNNER_BRANCH"]
open(os.path.join(folder, number + ".new"), "w").write(f"{os.getpid()} {child.pid}")
os.rename(os.path.join(folder, number + ".new"), os.path.join(folder, number))
LAST
"""


async def test_a_programs_last_line_is_its_outcome() -> None:
    async with Runtime(AgentEngine(command_agent(python(ECHO)))) as runtime:
        result = await runtime.solve("hello", deadline=60.0, branches=2, seed=1)
    assert result.answer == "HELLO True"
    assert result.text.startswith("thinking\n")


async def test_all_that_it_wrote_may_be_made_an_outcome() -> None:
    agent = command_agent(python("print(1); print(2)"), outcome=lambda said: said.split())
    async with Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve("?", deadline=60.0, branches=1)
    assert result.answer == '["1","2"]'


async def test_a_program_that_fails_loses_its_branch_and_says_why() -> None:
    agent = command_agent(python("import sys; sys.exit('out of cheese')"))
    missing = command_agent(["/no/such/program"])
    for tried, why in ((agent, "out of cheese"), (missing, "/no/such/program")):
        async with Runtime(AgentEngine(tried)) as runtime:
            result = await runtime.solve("?", deadline=60.0, branches=1)
        assert result.branches[0].status is BranchStatus.FAILED
        assert why in str(result.branches[0].error)


def alive(folder: Path) -> list[int]:
    pids = [int(pid) for path in folder.glob("[0-9]") for pid in path.read_text().split()]
    return [
        pid
        for pid in pids
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


async def test_nothing_is_left_of_programs_whose_race_is_over(tmp_path: Path) -> None:
    program = STUBBORN.replace("LAST", "time.sleep(600)")
    agent = command_agent([*python(program), os.fspath(tmp_path)], grace=0.05)
    engine = AgentEngine(agent)
    async with Runtime(engine) as runtime:
        async with runtime.stream("?", deadline=600.0, branches=2):
            await until(lambda: len(list(tmp_path.glob("[0-9]"))) == 2)
            assert len(alive(tmp_path)) == 4
        await until(lambda: engine.load().running == 0)
        await until(lambda: not alive(tmp_path))


async def test_what_a_program_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    program = STUBBORN.replace("LAST", "print('done')")
    agent = command_agent([*python(program), os.fspath(tmp_path)], grace=5.0)
    async with Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve("?", deadline=600.0, branches=1)
        assert result.answer == "done"
        await until(lambda: not alive(tmp_path))


def test_a_command_is_a_list_of_words() -> None:
    text: Any = "echo hello"
    for wrong in (text, []):
        with pytest.raises(ValueError, match="list of words"):
            command_agent(wrong)
    with pytest.raises(ValueError, match="grace"):
        command_agent(["true"], grace=-1)
