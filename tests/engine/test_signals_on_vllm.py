"""Signals to the command line while it runs the real engine, under one event loop and the other:
nobody is cut off, nothing is left."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from openai import AsyncOpenAI
from tests.backends import until
from tests.runtime.cli.conftest import assert_they_end, cli_process, read_until, session_members
from tests.runtime.serving.test_drain import base_url

from frontrunner.runtime.engines.vllm.engine import model_folder

pytestmark = [
    pytest.mark.program,
    # Importing it, to see whether it is there, takes seconds.
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]
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


def test_ctrl_c_ends_a_race_on_vllm_and_all_its_processes(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("number", [signal.SIGTERM])
async def test_a_signal_to_the_group_leaves_vllm_to_us(
    tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "server.toml"
    path.write_text(
        '[engine]\nmax_context_tokens = 1024\ndtype = "bfloat16"\n'
        "[sampling]\ntemperature = 2.0\nmax_tokens = 900\n"
        '[race]\nbranches = 16\ndeadline = 60\n[race.parameters]\nstop = "none"\n'
        "[server]\nport = 0\ndrain_grace = 0\ndrain_limit = 3\n"
    )
    with cli_process("serve", "--uvloop", "--config", str(path)) as process:
        url = base_url(read_until(process.stdout, b"serving"))
        below = psutil.Process(process.pid).children(recursive=True)
        races, started = list[Any](), list[list[int]]()
        async with AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client:

            async def ask() -> None:
                mine = list[int]()
                started.append(mine)
                stream = await client.chat.completions.create(
                    model="demo",
                    messages=[{"role": "user", "content": "Tom has 12 shells. How many?"}],
                    stream=True,
                )
                async for chunk in stream:
                    mine.append(1)
                    if any(choice.finish_reason for choice in chunk.choices):
                        races.append(chunk.frontrunner)  # type: ignore[attr-defined]

            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(ask)
                await until(lambda: len(started) == 4 and all(started), turns=60_000)
                os.killpg(process.pid, number)
        assert len(races) == 4
        # Told to end, vLLM aborts its requests and takes no more: these branches would be lost.
        assert {race["stop_reason"] for race in races} <= {"deadline", "exhausted", "first_to_m"}
        assert sum(race["branches"]["failed"] for race in races) == 0
        process.communicate()
        assert process.returncode == 0
        assert_they_end(below)
        assert_they_end(session_members(process.pid))
