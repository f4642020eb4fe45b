"""How a command runs and ends: the event loop, signals, exit status, one sentence for an error."""

import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from importlib.util import find_spec
from types import FrameType
from typing import NoReturn

import anyio
from anyio.abc import TaskStatus

from ...errors import BadRequest, ConfigError, EngineStartError, FrontrunnerError
from .output import OutputClosed
from .printable import one_line
from .processes import descendants

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: How often the tree of child processes is looked through again for new ones.
_KILL_ROUNDS = 20
_SHOW_CURSOR = b"\x1b[?25h"


class ExitStatus(IntEnum):
    """What the process returns; ended by a signal it is 128 + its number: 130 on Ctrl-C."""

    DONE = 0
    """There is an answer; a demo's races came back in time; a doctor found nothing wrong."""
    FAILED = 1
    """No answer, the engine failed, a race was late, or a check failed."""
    BAD_INPUT = 2
    """Nothing was run: the input, the config or the installation must change first."""
    OUTPUT_CLOSED = 141
    """Nobody reads standard output any more, as in ``| head``; what SIGPIPE gives."""


class Interrupted(Exception):
    """A signal ended the command; all that it had begun is undone."""

    def __init__(self, number: signal.Signals) -> None:
        self.status = 128 + number
        super().__init__(number.name)


def status_of(error: FrontrunnerError) -> ExitStatus:
    """The exit status that an error ends the command with."""
    refused = isinstance(error, BadRequest | ConfigError | EngineStartError)
    return ExitStatus.BAD_INPUT if refused else ExitStatus.FAILED


def complain(error: Exception | str) -> None:
    """Say on standard error, in one line, why the command ends; of a config with several faults in
    a line each."""
    for text in error.each if isinstance(error, ConfigError) else (str(error),):
        _say(f"error: {one_line(text)}")


def warn(text: str) -> None:
    """Say on standard error, in one line, what the user should know and need not change."""
    _say(f"warning: {one_line(text)}")


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # standard error may be closed, and then nobody listens
        print(line, file=sys.stderr, flush=True)


def run(
    body: Callable[[], Awaitable[int]],
    *,
    uvloop: bool = False,
    end_gently: Callable[[signal.Signals], bool] | None = None,
) -> int:
    """Run ``body`` in an event loop and return its status.

    The first SIGINT or SIGTERM cancels it, which aborts every branch and stops the engine. A
    second one kills what is left and exits at once.

    Args:
        body: what is run.
        uvloop: on uvloop.
        end_gently: called at the first signal; if it returns True, ``body`` is not cancelled but
            will end by itself, and its status counts.

    Raises:
        BadRequest: uvloop is wanted and not installed.
        FrontrunnerError: what ``body`` raised.
        OutputClosed: likewise.
        Interrupted: a signal came; errors on the way down are its consequence and not reported.
    """
    if uvloop and find_spec("uvloop") is None:
        raise BadRequest("uvloop is not installed: pip install 'frontrunner[uvloop]'")
    received: list[signal.Signals] = []

    async def supervise() -> int | FrontrunnerError | OutputClosed:
        outcome: int | FrontrunnerError | OutputClosed = ExitStatus.FAILED
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()
            await tasks.start(_watch_signals, scope, received, end_gently)
            with scope:
                # Raised past the task group they would arrive wrapped in an ExceptionGroup.
                try:
                    outcome = await body()
                except (FrontrunnerError, OutputClosed) as error:
                    outcome = error
            tasks.cancel_scope.cancel()
        return outcome

    with _asyncio_quiet():
        outcome = anyio.run(supervise, backend="asyncio", backend_options={"use_uvloop": uvloop})
    if received:
        raise Interrupted(received[0])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@contextmanager
def _asyncio_quiet() -> Iterator[None]:
    """Without asyncio's warnings: at the end of a process whose status was read just before it
    wonders aloud who did that."""
    logger = logging.getLogger("asyncio")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


async def _watch_signals(
    scope: anyio.CancelScope,
    received: list[signal.Signals],
    end_gently: Callable[[signal.Signals], bool] | None,
    *,
    task_status: TaskStatus[None],
) -> None:
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            # From here on not through the event loop, which may be what hangs.
            for each in _SIGNALS:
                signal.signal(each, _exit_at_once)
            if end_gently is None or not end_gently(number):
                received.append(number)
                scope.cancel()
            # The receiver must stay open: closing it would give the signals back.
            await anyio.sleep_forever()


def _exit_at_once(number: int, frame: FrameType | None) -> NoReturn:
    kill_descendants()
    with suppress(OSError):
        # A live view or a spinner may have hidden it. The streams may be set aside just now.
        terminal = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        if os.tcgetpgrp(terminal) == os.getpgrp():
            os.write(terminal, _SHOW_CURSOR)
    os._exit(128 + number)


def kill_descendants() -> None:
    """Kill all processes that descend from this one, as far as ``/proc`` tells.

    Except Python's resource tracker: it removes the shared memory that the others leave behind,
    and ends when they and this process have ended.
    """
    for _ in range(_KILL_ROUNDS):
        living = [p for p in descendants(os.getpid()) if not (p.has_ended or p.is_tracker)]
        if not living:
            return
        for process in living:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)
