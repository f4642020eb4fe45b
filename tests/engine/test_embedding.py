"""The README's lines, run as a program of their own under one event loop after the other.

vLLM's processes start in vLLM's own way here, and see by themselves where their files go.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from frontrunner.runtime.config import Settings

PROGRAM = """
    import asyncio, multiprocessing.util, psutil, tempfile, uvloop
    from pathlib import Path
    from frontrunner import Runtime, Settings
    from frontrunner.runtime.config import demo_config_path
    from frontrunner.runtime.demo.problems import hard_problems

    async def main():
        question = hard_problems("select", 1)[0].question
        async with Runtime.from_config({settings}) as runtime:
            assert files(), "its files are there"
            result = await runtime.solve(question, {asked})
            async with runtime.stream(question, {asked}) as events:
                types = [event.type async for event in events]
        assert result.branches and types[-1] == "race_decided", (result, types)
        print("answer", result.answer, type(asyncio.get_running_loop()).__module__)

    def files():
        own = multiprocessing.util.get_temp_dir()  # this program's, to its end
        every = map(str, Path(tempfile.gettempdir()).glob("**/*"))
        return [path for path in every if "torchinductor" not in path and own not in path]

    def left():
        # A zombie has ended. Python's resource tracker ends with the program.
        children = psutil.Process().children(recursive=True)
        engines = [c for c in children if c.name().startswith("VLLM")]
        _, running = psutil.wait_procs(engines, timeout=60)
        return [c for c in running if c.status() != psutil.STATUS_ZOMBIE]

    if __name__ == "__main__":
        for run in {runs}:
            run(main())
            assert left() == [], left()
            assert files() == [], files()
"""
#: Few tokens: a race that ends by itself, in about as many steps under every loop.
ASKED = "deadline=30.0, branches=4, max_tokens=100"


@pytest.fixture
def folder() -> Iterator[Path]:
    """For temporary files; a socket's path may not be as long as those of pytest's are."""
    made = tempfile.mkdtemp(prefix="emb-")
    yield Path(made)
    shutil.rmtree(made)


def program(demo_settings: Settings, runs: str) -> str:
    settings = f"Settings.from_dict({demo_settings.model_dump(exclude_unset=True)!r})"
    return textwrap.dedent(PROGRAM).format(settings=settings, runs=runs, asked=ASKED)


def test_the_embedding_lines_work_and_leave_no_process(
    tmp_path: Path, folder: Path, demo_settings: Settings
) -> None:
    script = tmp_path / "embedding.py"
    script.write_text(program(demo_settings, "(uvloop.run, asyncio.run)"))
    process = psutil.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    loops = [line.split()[-1] for line in out.splitlines() if line.startswith("answer")]
    assert [loop.partition(".")[0] for loop in loops] == ["uvloop", "asyncio"]
    # Python's resource tracker ends by itself, right after the program.
    _, left = psutil.wait_procs(
        [p for p in psutil.process_iter() if _session(p) == process.pid], timeout=30
    )
    # A zombie has ended; under an init that does not reap, it stays listed.
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []
    # What PyTorch compiled is kept for the engines that follow.
    assert [p for p in folder.iterdir() if "torchinductor" not in p.name] == []


def test_a_program_that_is_killed_outright_leaves_no_engine_behind(
    tmp_path: Path, demo_settings: Settings
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        program(demo_settings, "(asyncio.run,)").replace(
            "        result =", "        print('started', flush=True)\n        result ="
        )
    )
    process = psutil.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    engine = process.children(recursive=True)
    process.kill()
    process.communicate()
    assert len(engine) >= 2
    _, left = psutil.wait_procs(engine, timeout=30)
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None
