"""What ``/proc`` says of processes below this one; nothing where there is none."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TRACKER: Final = b"multiprocessing.resource_tracker"


@dataclass(frozen=True, slots=True)
class Process:
    """One that was there a moment ago."""

    pid: int
    parent: int
    state: str  # as ``ps`` has it: R, S, D, T, Z, X
    command: bytes  # its arguments, divided by NUL

    @property
    def has_ended(self) -> bool:
        """Whether only its parent has yet to hear of it (a zombie), or it goes just now."""
        return self.state in "ZX"

    @property
    def is_tracker(self) -> bool:
        """Whether it is Python's resource tracker, which ends when those have whom it serves."""
        return _TRACKER in self.command


def descendants(root: int) -> list[Process]:
    """Processes below ``root``, parents first."""
    children: dict[int, list[Process]] = {}
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # After the name, which is in parentheses and may hold anything: state, parent, …
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
            process = Process(int(folder.name), int(fields[1]), fields[0], command)
            children.setdefault(process.parent, []).append(process)
    found, parents = list[Process](), [root]
    while parents:
        below = children.get(parents.pop(), [])
        found += below
        parents += [process.pid for process in below]
    return found


def own_bytes(pid: int) -> int:
    """Memory that a process shares with nobody; 0: it has ended, or is not ours."""
    total = 0
    with suppress(OSError, ValueError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += 1024 * int(line.split()[1])
    return total


def open_files(pid: int) -> int:
    """File descriptors of a process; 0: it has ended, or is not ours."""
    with suppress(OSError):
        return len(os.listdir(_PROC / str(pid) / "fd"))
    return 0


def threads(pid: int) -> int:
    """Threads of a process; 0: it has ended."""
    with suppress(OSError):
        return len(os.listdir(_PROC / str(pid) / "task"))
    return 0
