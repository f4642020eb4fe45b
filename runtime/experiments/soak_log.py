"""What happened in a soak, a line each: a file that is appended to, and gone on with."""

import fcntl
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from ..common.json_bytes import json_bytes
from ..errors import BadRequest

#: Of the form of the file.
_VERSION: Final = 1


class End(StrEnum):
    """How a race of a soak ended, as its client saw it."""

    ANSWERED = "answered"
    """There was a reply, with an answer or without one."""
    LEFT = "left"
    """The client left before it."""
    REFUSED = "refused"
    """The server said that it is busy."""
    RESTARTING = "restarting"
    """The server said that its engine is just started again."""
    LOST = "lost"
    """It ran on an engine that was killed, and nothing was known yet."""
    CUT_OFF = "cut_off"
    """The server cut off a client that read too slowly (``server.stall_limit``)."""
    FAILED = "failed"
    """Anything else: nothing of it is meant to happen."""


@dataclass(frozen=True, slots=True)
class RaceEnded:
    """A race as its client saw it."""

    at: float  # seconds since the load of its run began
    client: str  # the kind of client
    end: End
    deadline: float  # seconds
    seconds: float  # from the request to the last byte
    right: bool | None = None  # None: it is not known what is right, or there was no reply
    overshoot: float | None = None  # seconds after the deadline, as the server saw it
    problem: str | None = None  # of one that failed

    @property
    def late(self) -> float | None:
        """Seconds after its deadline at which the last byte came, 0 if before; None: the client
        took its own time, or there was no reply."""
        if self.end is not End.ANSWERED or self.client == "slow":
            return None
        return max(0.0, self.seconds - self.deadline)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server was using."""

    at: float  # seconds since the load of its run began
    server_bytes: int  # memory of the server's own process that it shares with nobody
    engine_bytes: int  # of all processes below it
    descriptors: int  # open files of the server's process
    threads: int  # of the server's process
    processes: int  # below it
    zombies: int
    requests: int  # in the engine
    client_lag: float = 0.0  # seconds by which the clients' event loop was late at most


@dataclass(frozen=True, slots=True)
class Strike:
    """The engine's processes were sent a signal."""

    at: float
    signal: str


@dataclass(frozen=True, slots=True)
class RunBegan:
    """A server was started, and then load."""

    number: int  # of the run, from 1
    config: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The load was over, and then the server was told to end."""

    at: float
    requests_left: int  # in the engine, though nobody asked any more
    processes_left: int  # of the server's, after it had ended
    files_left: Sequence[str] = ()  # in the temporary folder and in shared memory
    status: int | None = None  # of the server's process; None: it had to be killed


Record = RaceEnded | Sample | Strike | RunBegan | RunEnded
_NAMES: Final[dict[str, type[Any]]] = {
    "race": RaceEnded,
    "sample": Sample,
    "strike": Strike,
    "run_began": RunBegan,
    "run_ended": RunEnded,
}
_NAME_OF: Final = {kind: name for name, kind in _NAMES.items()}

R = TypeVar("R")


class SoakLog:
    """The file of a soak, and what it holds."""

    def __init__(self, path: Path, about: str) -> None:
        """
        Args:
            path: it is made if it is not there; nobody else may write to it meanwhile.
            about: what is soaked: a soak of something else is not gone on with.

        Raises:
            BadRequest: it cannot be read or written, or is another soak's.
        """
        self.path = path
        self._head = {"frontrunner_soak": _VERSION, "about": about}
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise BadRequest(f"cannot write {path} ({error.strerror})") from error
        try:
            self._lock()
            self.records = self._read()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let others have the file."""
        self._file.close()

    def add(self, record: Record) -> None:
        """Write down what happened.

        Raises:
            BadRequest: it cannot be written.
        """
        self._append({"kind": _NAME_OF[type(record)], **asdict(record)})
        self.records.append(record)

    def of(self, kind: type[R]) -> list[R]:
        """The records of a kind."""
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def seconds(self) -> float:
        """How long load was put on, in all runs."""
        return sum(run[-1].at for run in self.runs() if run)

    def runs(self) -> list[list[RaceEnded | Sample | Strike | RunEnded]]:
        """What happened in each run, in order."""
        found: list[list[RaceEnded | Sample | Strike | RunEnded]] = []
        for record in self.records:
            if isinstance(record, RunBegan):
                found.append([])
            elif found:
                found[-1].append(record)
        return found

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadRequest(f"another soak writes to {self.path}") from error

    def _read(self) -> list[Record]:
        self._file.seek(0)
        content = self._file.read()
        if not content:
            self._append(self._head)
            return []
        whole, _, broken = content.rpartition(b"\n")
        if broken:  # it was broken off while a line was written
            self._file.truncate(len(content) - len(broken))
        head, *lines = whole.split(b"\n")
        try:
            self._check(orjson.loads(head))
            return [_record(orjson.loads(line)) for line in lines]
        except (ValueError, TypeError, KeyError) as error:
            raise BadRequest(f"{self.path}: not the log of a soak ({error})") from error

    def _check(self, head: Any) -> None:
        if not isinstance(head, dict) or "frontrunner_soak" not in head:
            raise ValueError("its first line says something else")
        if head != self._head:
            raise BadRequest(
                f"{self.path} is the log of another soak ({head.get('about')}): name another "
                "folder, or remove it"
            )

    def _append(self, value: Any) -> None:
        try:
            self._file.write(json_bytes(value) + b"\n")
        except OSError as error:
            raise BadRequest(f"cannot write {self.path} ({error.strerror})") from error


def _record(line: dict[str, Any]) -> Record:
    kind = _NAMES[line.pop("kind")]
    known = {field.name for field in fields(kind)}
    if "end" in line:
        line["end"] = End(line["end"])
    return kind(**{key: value for key, value in line.items() if key in known})
