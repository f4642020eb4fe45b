"""The command line in this process and in one of its own, on engines that play a script."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import IO, Any

import anyio
import orjson
import psutil
import pytest
from tests.backends import STEADY_ASYNCIO

import frontrunner
from frontrunner.runtime.cli import main
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime

#: A guard against hangs, in seconds; nothing is expected to take that long.
PATIENCE = 120.0
_SCRIPTED = Path(__file__).with_name("scripted_main.py")


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.out.splitlines()]


RunCli = Callable[..., Done]


def scripted(*branches: BranchScript, **engine: Any) -> Callable[[Settings], Runtime]:
    """Runtimes on an engine whose branches do this, and whose forced answers are 7."""
    script = Script(
        branches or (BranchScript.answering("42", seconds=0.02),),
        forced=(BranchScript.answering("7", seconds=0.01, tokens=2),),
    )
    return lambda settings: Runtime(ScriptedEngine(script, **engine), settings)


_run = anyio.run


def _run_steadily(
    function: Callable[..., Any], *, backend: str, backend_options: dict[str, Any]
) -> Any:
    """``anyio.run`` without a busy machine's pauses, in which deadlines would be missed."""
    if not backend_options["use_uvloop"]:
        backend, backend_options = STEADY_ASYNCIO
    return _run(function, backend=backend, backend_options=backend_options)


@pytest.fixture
def run_cli(capfd: pytest.CaptureFixture[str]) -> RunCli:
    """Run the command line in this process."""

    def run(*argv: str, make_runtime: Callable[[Settings], Runtime] | None = None) -> Done:
        capfd.readouterr()
        # A command collects garbage once its engine runs: none of all that pytest holds is looked
        # at again (see ``_small_heap``, which the command before undid).
        gc.freeze()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(anyio, "run", _run_steadily)
            status = main(argv, make_runtime=make_runtime or scripted())
        out, err = capfd.readouterr()
        return Done(status, out, err)

    return run


@contextmanager
def process(
    *command: str, stdout: int | IO[bytes] = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a session of its own and does not outlive the block."""
    with subprocess.Popen(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(frontrunner.__file__).parents[1])},
        start_new_session=True,
    ) as started:
        try:
            yield started
        finally:
            for member in session_members(started.pid):
                with suppress(psutil.NoSuchProcess):
                    member.kill()


def scripted_process(
    scenario: str, *argv: str, stdout: int | IO[bytes] = subprocess.PIPE
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """The command line on an engine of ``scripted_main.py``."""
    return process(sys.executable, str(_SCRIPTED), scenario, *argv, stdout=stdout)


def cli_process(*argv: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """The command line on the real engine."""
    code = "import sys; from frontrunner.runtime.cli import main; sys.exit(main())"
    return process(sys.executable, "-c", code, *argv)


def read_until(stream: IO[bytes] | None, marker: bytes) -> bytes:
    """The first line of ``stream`` that holds ``marker``."""
    assert stream is not None
    for line in stream:
        if marker in line:
            return line
    raise AssertionError(f"the stream ended without {marker!r}")


def session_members(session: int) -> list[psutil.Process]:
    """Processes of a session that have not ended."""
    return [process for process in psutil.process_iter() if _session(process) == session]


def _session(process: psutil.Process) -> int | None:
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None


def assert_they_end(processes: Iterable[psutil.Process]) -> None:
    """Wait until none of these processes is left; what its parent has not buried is no process."""
    for process in processes:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        try:
            ended, _, _ = select([descriptor], [], [], PATIENCE)
        finally:
            os.close(descriptor)
        assert ended, f"{process} is still there"
