"""One worker process, seen from its parent."""

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from subprocess import DEVNULL
from typing import Self

import anyio
import anyio.lowlevel
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

# Forking and executing, without waiting for the program; and the kernel's work after SIGKILL.
START_LIMIT_S = 5.0
REAP_LIMIT_S = 2.0
_MAX_REPLY_BYTES = 4_096
# By path and not with `-m`, which would import the packages above it first; and it may be that only
# this process knows where to find them.
_PROGRAM = Path(__file__).with_name("worker_main.py")
# What a python needs to find its libraries. The rest, such as tokens, is no business of a process
# that reads hostile text.
_ENVIRONMENT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "VIRTUAL_ENV")


class WorkerLostError(Exception):
    """The process has died, or says what makes no sense. It must be closed."""


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A process that runs `worker_main.py`. Whoever starts it must close it."""

    process: Process
    requests: ByteSendStream
    replies: BufferedByteReceiveStream
    started_at: float  # `anyio.current_time()`
    ready: bool = False
    asked: int = 0  # how many formulas; the id of the last one
    answered: int = 0  # the id of the last one whose key has been read
    due: float = inf  # when the last one must be answered (`anyio.current_time()`)
    killed: bool = False

    @classmethod
    async def start(cls) -> Self:
        """Start a process, without waiting until it is ready.

        Raises:
            WorkerLostError: If the system refuses.

        Cancelling it does not cut it short, as the process would be lost without a record of it;
        it takes milliseconds, and `START_LIMIT_S` seconds at most.
        """
        process = None
        try:
            with anyio.move_on_after(START_LIMIT_S, shield=True):
                process = await anyio.open_process(
                    [sys.executable, str(_PROGRAM)],
                    stderr=DEVNULL,
                    env=_environment(),
                    start_new_session=True,  # out of reach of the terminal's Ctrl-C
                )
        except OSError as error:
            raise WorkerLostError(f"not started: {error}") from error
        if process is None:
            raise WorkerLostError("not started in time")
        assert isinstance(process.stdin, ByteSendStream)
        assert isinstance(process.stdout, ByteReceiveStream)
        replies = BufferedByteReceiveStream(process.stdout)
        return cls(process, process.stdin, replies, anyio.current_time())

    @property
    def has_died(self) -> bool:
        """Whether the process is known to have ended."""
        return self.process.returncode is not None

    @property
    def at_work(self) -> bool:
        """Whether whoever asked for the last key did not wait for it."""
        return self.answered < self.asked

    async def until_ready(self) -> None:
        """Wait until the parser is loaded, and has done with the last formula.

        Raises:
            WorkerLostError: If the process dies first.

        Cancelling it changes nothing: it may be called again.
        """
        if not self.ready:
            await self._reply()
            self.ready = True
        if self.at_work:
            await self._answer()

    async def key_of(self, formula: str, due: float) -> str | None:
        """Return the key of a formula, or None if the worker cannot read it.

        Args:
            due: when it must have been answered (`anyio.current_time()`); whoever starts it sees
                to that.

        Raises:
            WorkerLostError: If the process dies of it.

        Cancelling it leaves the process at work: see `until_ready`.
        """
        # Whoever is cancelled has not asked; and what is asked must reach the process whole, or it
        # would be waited for in vain.
        await anyio.lowlevel.checkpoint_if_cancelled()
        self.asked += 1
        self.due = due
        # The standard library's writer, because orjson refuses lone surrogates.
        line = json.dumps({"id": self.asked, "formula": formula}).encode() + b"\n"
        try:
            with anyio.CancelScope(deadline=due, shield=True):
                await self.requests.send(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise WorkerLostError("died") from error
        return await self._answer()

    def kill(self) -> None:
        """Kill the process; `aclose` must follow."""
        # Once: before it sends a signal, subprocess asks whether the process has ended, and so
        # takes its status from asyncio, which complains of an unknown child in the log.
        if not self.killed:
            self.killed = True
            with suppress(ProcessLookupError):  # it has ended already
                self.process.kill()

    async def aclose(self) -> None:
        """Kill the process, close its pipes and wait for its end.

        Cancelling it does not cut it short.
        """
        self.kill()
        with anyio.move_on_after(REAP_LIMIT_S, shield=True):
            await self.process.aclose()

    async def _answer(self) -> str | None:
        match await self._reply():
            case {"id": self.asked, "key": str() | None as key}:
                self.answered = self.asked
                return key
        raise WorkerLostError("replied to something else")

    async def _reply(self) -> object:
        try:
            return json.loads(await self.replies.receive_until(b"\n", _MAX_REPLY_BYTES))
        except (
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            anyio.EndOfStream,
            anyio.IncompleteRead,
        ) as error:
            raise WorkerLostError("died") from error
        except (anyio.DelimiterNotFound, ValueError) as error:
            raise WorkerLostError("replied nonsense") from error


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(("LC_", "PYTHON"))
    }
    # Or modules beside `worker_main.py` could stand in for libraries of the same name.
    return kept | {"PYTHONSAFEPATH": "1"}
