"""The README's lines, run as a program of their own under one event loop after the other."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil

from frontrunner.runtime.config import Settings

PROGRAM = """
    import asyncio, psutil, uvloop
    from frontrunner import Runtime, Settings
    from frontrunner.runtime.config import demo_config_path
    from frontrunner.runtime.demo.problems import hard_problems

    async def main():
        question = hard_problems("select", 1)[0].question
        async with Runtime.from_config({settings}) as runtime:
            result = await runtime.solve(question, deadline=5.0, branches=4)
            async with runtime.stream(question, deadline=5.0, branches=4) as events:
                types = [event.type async for event in events]
        assert result.branches and types[-1] == "race_decided", (result, types)
        print("answer", result.answer, type(asyncio.get_running_loop()).__module__)

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
"""


def test_the_embedding_lines_work_and_leave_no_process(
    tmp_path: Path, demo_settings: Settings
) -> None:
    settings = f"Settings.from_dict({demo_settings.model_dump(exclude_unset=True)!r})"
    script = tmp_path / "embedding.py"
    script.write_text(
        textwrap.dedent(PROGRAM).format(settings=settings, runs="(uvloop.run, asyncio.run)")
    )
    process = psutil.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
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


def test_a_program_that_is_killed_outright_leaves_no_engine_behind(
    tmp_path: Path, demo_settings: Settings
) -> None:
    settings = f"Settings.from_dict({demo_settings.model_dump(exclude_unset=True)!r})"
    program = textwrap.dedent(PROGRAM).format(settings=settings, runs="(asyncio.run,)")
    script = tmp_path / "killed.py"
    script.write_text(
        program.replace(
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
