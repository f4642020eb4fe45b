"""The README's lines, run as a program of their own under one event loop after the other, which is
killed outright in the end.

vLLM's processes start in vLLM's own way here, and see by themselves where their files go. How a
program with an engine ends by itself is seen in ``test_signals_on_vllm.py``.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.runtime.cli.conftest import assert_they_end, read_until, session_members

from frontrunner.runtime.config import Settings

pytestmark = pytest.mark.program

PROGRAM = """
    import asyncio, multiprocessing.util, psutil, tempfile, uvloop
    from pathlib import Path
    from frontrunner import Runtime, Settings
    from frontrunner.runtime.demo.problems import hard_problems

    async def main(wait):
        # Few tokens: a race that ends by itself, in about as many steps under every loop.
        options = {{"deadline": 60.0, "branches": 4, "max_tokens": 100}}
        question = hard_problems("select", 1)[0].question
        async with Runtime.from_config({settings}) as runtime:
            assert files(), "its files are there"
            result = await runtime.solve(question, **options)
            async with runtime.stream(question, **options) as events:
                types = [event.type async for event in events]
            assert result.branches and types[-1] == "race_decided", (result, types)
            print("answer", result.answer, type(asyncio.get_running_loop()).__module__, flush=True)
            if wait:
                async with runtime.stream(question, deadline=600.0) as events:
                    async for event in events:
                        print(event.type, flush=True)
                await asyncio.Event().wait()

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
        asyncio.run(main(False))
        assert left() == [], left()
        assert files() == [], files()
        print("nothing is left", flush=True)
        uvloop.run(main(True))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """For temporary files; a socket's path may not be as long as those of pytest's are."""
    made = tempfile.mkdtemp(prefix="emb-")
    yield Path(made)
    shutil.rmtree(made)


def test_the_embedding_lines_work_and_leave_neither_processes_nor_files(
    tmp_path: Path, folder: Path, demo_settings: Settings
) -> None:
    script = tmp_path / "embedding.py"
    settings = f"Settings.from_dict({demo_settings.model_dump(exclude_unset=True)!r})"
    script.write_text(textwrap.dedent(PROGRAM).format(settings=settings))
    with psutil.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        try:
            for said in (b"asyncio", b"nothing is left", b"uvloop", b"branch_progressed"):
                read_until(process.stdout, said)
            engine = process.children(recursive=True)
            process.kill()
            assert process.wait() == -signal.SIGKILL
            assert len(engine) >= 2
            assert_they_end(engine)
        finally:
            for member in session_members(process.pid):
                with suppress(psutil.NoSuchProcess):
                    member.kill()
