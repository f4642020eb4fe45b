"""Races written down while they are shown."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import orjson

from ...common.json_bytes import json_bytes
from ...errors import BadRequest
from ...events.types import Event, RaceDecided
from ...traces.recorder import TraceRecorder
from .command_races import Display, Outcome
from .output import Output
from .questions import Asked

#: How a line of a trace begins.
_BEGINNING = b'{"frontrunner_trace":'


class TracingDisplay(Display):
    """Shows races as another display does, and writes each down when it has ended."""

    def __init__(self, shown: Display, trace: Output, *, probed: bool = False) -> None:
        """
        Args:
            probed: whether the races' strategy probes.
        """
        self._shown = shown
        self._trace = trace
        self._probed = probed
        self._recorder = TraceRecorder()

    def race(self, index: int, asked: Asked) -> AbstractContextManager[None]:
        self._recorder = TraceRecorder(
            question=asked.text, gold=asked.answer, text=True, probed=self._probed
        )
        return self._shown.race(index, asked)

    async def happened(self, index: int, event: Event) -> None:
        self._recorder.push(event)
        await self._shown.happened(index, event)

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        # Shown first: an answer is not lost with a trace that cannot be written.
        await self._shown.decided(outcome, event)
        await self._trace.write(json_bytes(self._recorder.record()) + b"\n")

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        await self._shown.refused(index, asked, error)


def whole_lines(content: bytes) -> bytes:
    """What a trace holds but for a line at its end that was broken off while it was written."""
    *_, last = content.rpartition(b"\n")
    return content.removesuffix(last) if _is_broken(last) else content


def _is_broken(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        # Nothing is cut from a file that holds something else.
        return line.startswith(_BEGINNING) or (line != b"" and _BEGINNING.startswith(line))
    return False


@contextmanager
def trace_file(path: Path) -> Iterator[Output]:
    """A file that races are appended to, in lines of their own: what was broken off in it is cut.

    Raises:
        BadRequest: it cannot be written.
    """
    try:
        file = path.open("ab")
        if path.is_file():  # else a pipe
            content = path.read_bytes()
            whole = whole_lines(content)
            if len(whole) < len(content):
                file.truncate(len(whole))
            elif content and not content.endswith(b"\n"):
                file.write(b"\n")
                file.flush()
    except OSError as error:
        raise BadRequest(f"cannot write the trace {path} ({error.strerror})") from error
    with file:
        yield Output(file.fileno(), f"the trace {path}")
