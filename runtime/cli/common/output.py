"""The standard streams of a program that shares them with an engine's processes, and whose races
must not wait for whoever reads."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import PIPE_BUF
from shutil import get_terminal_size
from typing import BinaryIO, TextIO

import anyio

from ...errors import FrontrunnerError

#: Values of TERM that promise no cursor movement.
_DUMB = ("dumb", "unknown")


class OutputClosed(Exception):
    """Nobody reads standard output any more."""


class OutputFailed(FrontrunnerError):
    """Standard output takes no more, for another reason."""


class Output:
    """Bytes for a file descriptor, written without blocking the event loop."""

    def __init__(self, descriptor: int, name: str = "the output") -> None:
        """
        Args:
            name: what it is called in an error.
        """
        self._descriptor, self._name = descriptor, name
        mode = os.fstat(descriptor).st_mode
        # Files and devices always take what is written, and cannot be waited for.
        self._waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
            OutputClosed: the reader has gone.
            OutputFailed: the disk is full, for instance.

        Cancelling it may leave a part unwritten.
        """
        rest = memoryview(data)
        while rest:
            if self._waits:
                # A pipe that is ready takes this many bytes without blocking (POSIX).
                await anyio.wait_writable(self._descriptor)
            try:
                rest = rest[os.write(self._descriptor, rest[:PIPE_BUF]) :]
            except BrokenPipeError as error:
                raise OutputClosed from error
            except OSError as error:
                raise OutputFailed(f"cannot write {self._name} ({error.strerror})") from error

    async def line(self, text: str = "") -> None:
        """Write a line of text; see ``write``."""
        await self.write(f"{text}\n".encode("utf-8", "replace"))


@contextmanager
def standard_output() -> Iterator[Output]:
    """Standard output for this program alone.

    Meanwhile descriptor 1 is standard error: libraries and child processes of the engine print to
    it (a communication library announces its peers, for instance), and a reader of NDJSON must
    never see that.

    Raises:
        OutputClosed: there is no standard output.
    """
    _flush()
    try:
        private = os.dup(1)  # not inherited by child processes
    except OSError as error:
        raise OutputClosed from error
    try:
        with suppress(OSError):  # no standard error: then nobody can be kept out
            os.dup2(2, 1)
        yield Output(private)
    finally:
        _flush()
        os.dup2(private, 1)
        os.close(private)


@contextmanager
def set_aside(log: BinaryIO) -> Iterator[TextIO]:
    """Send standard output and error to ``log`` meanwhile, and give out the real standard error.

    Processes that start meanwhile keep ``log``. It is for the start of an engine, whose libraries
    say a lot there that is of interest only if it fails.
    """
    _flush()
    saved = {number: os.dup(number) for number in (1, 2) if _is_open(number)}
    try:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        stderr = os.dup(saved[2]) if 2 in saved else os.open(os.devnull, os.O_WRONLY)
        with open(stderr, "w", buffering=1, encoding="utf-8", errors="replace") as real:
            yield real
    finally:
        _flush()
        for number in (1, 2):
            if number in saved:
                os.dup2(saved[number], number)
                os.close(saved[number])
            else:
                os.close(number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def width_of_output(otherwise: int = 100) -> int:
    """The columns of the terminal that standard output is; ``otherwise`` of a pipe or a file."""
    return get_terminal_size((otherwise, 24)).columns if is_terminal() else otherwise


def silence_output() -> None:
    """Let nothing that is still buffered complain about a reader that has gone."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def is_terminal() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") not in _DUMB
