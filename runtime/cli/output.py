"""Standard output of a program whose races must not wait for whoever reads it."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import PIPE_BUF

import anyio


class OutputClosed(Exception):
    """Nobody reads standard output any more."""


class Output:
    """Bytes for a file descriptor, written without blocking the event loop."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        mode = os.fstat(descriptor).st_mode
        # Files and devices always take what is written, and cannot be waited for.
        self._waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
            OutputClosed: the reader has gone.

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
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        private = os.dup(1)  # not inherited by child processes
    except OSError as error:
        raise OutputClosed from error
    try:
        with suppress(OSError):  # no standard error: then nobody can be kept out
            os.dup2(2, 1)
        yield Output(private)
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(private, 1)
        os.close(private)


def is_terminal() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def silence_output() -> None:
    """Let nothing that is still buffered complain about a reader that has gone."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
