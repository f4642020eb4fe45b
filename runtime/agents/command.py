"""A program as an agent: a process of its own for each branch, of which nothing is left."""

import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from subprocess import PIPE
from typing import Any, Final

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

from .task import AgentTask

#: Characters of the program's complaints that a lost branch tells.
_TOLD: Final = 400
#: Characters of what a program writes that are kept for its outcome, the last ones.
_MAX_OUTPUT: Final = 16 * 2**20


def command_agent(
    command: Sequence[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    outcome: Callable[[str], Any] | None = None,
    grace: float = 2.0,
) -> Callable[[AgentTask], Awaitable[Any]]:
    """An agent that runs a program, for ``AgentEngine``.

    The program reads the question from its standard input, and what it is beside that from
    ``FRONTRUNNER_RACE``, ``FRONTRUNNER_BRANCH``, ``FRONTRUNNER_SEED`` and
    ``FRONTRUNNER_SECONDS_LEFT`` in its environment. What it writes to its standard output is
    progress; the last line that is not empty is its outcome. Another exit status than 0 loses the
    branch.

    It is the head of a process group. When it has ended, or its race has, the whole group is ended:
    with SIGTERM first where it still runs, and after ``grace`` seconds with SIGKILL. Only a process
    that has left the group can outlive it.

    Args:
        command: the program and its arguments; no shell reads them.
        cwd: where it runs; None: here.
        env: its environment, besides what is named above; None: this process's.
        outcome: makes the outcome of all that was written, in place of the last line.
        grace: seconds between the two signals.

    Raises:
        ValueError: there is no command, or ``grace`` is negative.
    """
    words = list(command)
    if isinstance(command, str) or not words:
        raise ValueError('command must be a list of words, such as ["python", "agent.py"]')
    if grace < 0:
        raise ValueError("grace must be at least 0 seconds")

    async def agent(task: AgentTask) -> Any:
        environment = dict(os.environ if env is None else env)
        environment |= {
            "FRONTRUNNER_RACE": task.race_id,
            "FRONTRUNNER_BRANCH": str(task.branch),
            "FRONTRUNNER_SEED": "" if task.seed is None else str(task.seed),
            "FRONTRUNNER_SECONDS_LEFT": f"{task.seconds_left:.3f}",
        }
        process = await _start(words, cwd, environment)
        try:
            said, complaints = await _run(process, task, grace)
        finally:
            await _end(process, grace)
        if process.returncode:
            why = complaints.strip()[-_TOLD:]
            raise RuntimeError(
                f"{words[0]} ended with status {process.returncode}" + (f": {why}" if why else "")
            )
        if outcome is not None:
            return outcome(said)
        return next((line for line in reversed(said.splitlines()) if line.strip()), None)

    agent.__name__ = os.path.basename(words[0])
    return agent


async def _start(
    words: Sequence[str], cwd: str | os.PathLike[str] | None, env: Mapping[str, str]
) -> Process:
    started: list[Process] = []
    with anyio.CancelScope(shield=True):  # half started it would be nobody's
        started.append(
            await anyio.open_process(
                words,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
        )
    return started[0]


async def _run(process: Process, task: AgentTask, grace: float) -> tuple[str, str]:
    """What a program writes until it ends, and what it complains of."""
    said, complaints = _Tail(_MAX_OUTPUT), _Tail(_TOLD * 4)

    async def feed() -> None:
        assert process.stdin is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it does not read
            await process.stdin.send(task.question.encode())
            await process.stdin.aclose()

    async def read(stream: ByteReceiveStream | None, into: "_Tail", *, told: bool) -> None:
        assert stream is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for text in TextReceiveStream(stream, errors="replace"):
                into.add(text)
                if told:
                    task.progress(text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed)
        tasks.start_soon(lambda: read(process.stdout, said, told=True))
        tasks.start_soon(lambda: read(process.stderr, complaints, told=False))
        await process.wait()
        _kill(process, signal.SIGKILL)  # what it left behind, which may hold its output open
        tasks.cancel_scope.deadline = anyio.current_time() + grace
    return said.text, complaints.text


class _Tail:
    """The end of a text that may get long."""

    def __init__(self, most: int) -> None:
        self._pieces: deque[str] = deque()
        self._most, self._length = most, 0

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
        while self._length - len(self._pieces[0]) >= self._most:
            self._length -= len(self._pieces.popleft())

    @property
    def text(self) -> str:
        return "".join(self._pieces)[-self._most :]


async def _end(process: Process, grace: float) -> None:
    """End a program and its group, whoever is cancelled meanwhile."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            _kill(process, signal.SIGTERM)
            with anyio.move_on_after(grace):
                await process.wait()
        _kill(process, signal.SIGKILL)
        await process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                await stream.aclose()


def _kill(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
