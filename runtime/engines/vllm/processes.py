"""The processes of a vLLM engine, to its very end.

vLLM ends its core, and the core its workers. A core that was killed or stopped ends nobody, and
what it held in shared memory stays until the program that started it ends. So all of it is noted
once the engine is up.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psutil
    from vllm.v1.engine.async_llm import AsyncLLM

#: Seconds that processes get to end which were killed: the kernel frees their memory first.
_GONE: Final = 5.0
_SHARED: Final = Path("/dev/shm")


class EngineProcesses:
    """The processes that an engine was started with, and those below them."""

    def __init__(self, llm: "AsyncLLM") -> None:
        import psutil  # vLLM needs it, too

        manager: Any = getattr(getattr(llm.engine_core, "resources", None), "engine_manager", None)
        roots: list[int] = [p.pid for p in getattr(manager, "processes", ()) if p.pid is not None]
        self._cores: list[psutil.Process] = []
        for pid in roots:
            with suppress(psutil.Error):
                self._cores.append(psutil.Process(pid))
        self._workers = self._below()
        self._shared = self._find_shared()

    def kill(self) -> None:
        """Kill all of them, also those that were stopped."""
        import psutil

        for process in [*self._cores, *self._workers, *self._below()]:
            with suppress(psutil.Error):  # never another process of the same number
                process.kill()

    def end(self) -> None:
        """See that nothing is left of them: no process, no zombie, no shared memory. Blocks; for
        the time after vLLM has ended what it can."""
        import psutil

        self.kill()
        psutil.wait_procs([*self._cores, *self._workers], timeout=_GONE)
        for worker in self._workers:
            # Where this is process 1 of a container, it has become their parent. vLLM's own
            # children are ``multiprocessing``'s to wait for.
            with suppress(OSError):
                os.waitpid(worker.pid, os.WNOHANG)
        for path in self._shared:
            _remove_shared(path)
        self._shared = set()

    def _below(self) -> "Sequence[psutil.Process]":
        import psutil

        found: list[psutil.Process] = []
        for core in self._cores:
            with suppress(psutil.Error):
                found += core.children(recursive=True)
        return found

    def _find_shared(self) -> set[Path]:
        """The shared memory that they made: what they have mapped and this process has not, which
        a forked process would have of it."""
        mapped: set[int] = set()
        for process in [*self._cores, *self._workers]:
            mapped |= shared_inodes(process.pid)
        mapped -= shared_inodes(os.getpid())
        with suppress(OSError):
            return {Path(e.path) for e in os.scandir(_SHARED) if e.inode() in mapped}
        return set()


def _remove_shared(path: Path) -> None:
    """Remove shared memory, or a semaphore, whose owner has ended without doing so."""
    try:
        path.unlink()
    except OSError:
        return
    # What the owner never took back from Python's resource tracker, which would complain of it
    # in the end. The names are those that Python makes up itself.
    if path.name.startswith("sem.mp-"):
        resource_tracker.unregister(f"/{path.name.removeprefix('sem.')}", "semaphore")
    elif path.name.startswith("psm_"):
        resource_tracker.unregister(f"/{path.name}", "shared_memory")


def shared_inodes(pid: int) -> set[int]:
    """Inodes of shared memory that a process has mapped, as far as ``/proc`` tells. Not their
    names: the C library makes semaphores under another one first."""
    found: set[int] = set()
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
            fields = line.split(maxsplit=5)  # addresses, rights, offset, device, inode, path
            if len(fields) == 6 and fields[5].startswith(f"{_SHARED}/"):
                found.add(int(fields[4]))
    return found
