"""A temporary folder for each vLLM engine.

vLLM binds sockets under names that nobody knows in the temporary folder, its processes leave files
there, and nothing removes either. Each engine therefore gets a folder of its own, which goes with
it. A process that is killed outright cannot remove its folders, so whoever makes one first removes
those of the dead: each folder holds a file that its owner has locked, and the kernel lifts the
lock with the owner's end, whatever that was, also in another container.
"""

import fcntl
import getpass
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger("frontrunner.engine")

_PREFIX: Final = "frontrunner-vllm-"
_LOCK: Final = "lock"
#: Where vLLM binds its sockets. Read whenever one is bound.
_SOCKETS: Final = "VLLM_RPC_BASE_PATH"
#: Tells the engine's processes where their temporary files go (see ``parent_watchdog``).
FOLDER_VARIABLE: Final = "FRONTRUNNER_ENGINE_FOLDER"
#: Bytes of a socket's path that Linux takes (108 with the end), less its name, a UUID.
_LONGEST: Final = 107 - 37
#: Seconds in which the owner of a new folder has locked it for certain.
_NEW: Final = 60.0
#: The environment is the process's, and engines may be built in several threads.
_environment = threading.Lock()


class EngineFolder:
    """A temporary folder that is this process's until ``remove``, or its end."""

    def __init__(self) -> None:
        parent = _parent()
        _remove_dead(parent)
        self.path: Path | None = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # Not inherited by other programs. A fork holds it too, and so the folder of its parent.
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @contextmanager
    def used(self) -> Generator[None, None, None]:
        """Have vLLM, and the processes that it starts in the block, use this folder.

        One block at a time: others wait.
        """
        told = {_SOCKETS: str(self.path), FOLDER_VARIABLE: str(self.path)}
        with _environment:
            before = {name: os.environ.get(name) for name in told}
            os.environ.update(told)
            try:
                yield
            finally:
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value

    def remove(self) -> None:
        """Remove the folder with all that is in it. Idempotent."""
        path, self.path = self.path, None
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(self._lock)


def use_engine_folder() -> None:
    """In one of an engine's processes: put temporary files into the engine's folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None or not os.path.isdir(folder):
        return
    # What is compiled is kept for the engines that follow, where PyTorch keeps it by itself.
    with suppress(OSError, KeyError):
        compiled = f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}"
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", compiled)
    tempfile.tempdir = folder


def _parent() -> str:
    """Where folders are made: where vLLM's sockets would be, if their paths are not too long."""
    for parent in (os.environ.get(_SOCKETS), tempfile.gettempdir(), "/tmp"):
        if parent and os.path.isdir(parent) and len(parent) + len(_PREFIX) + 9 <= _LONGEST:
            return parent
    return tempfile.gettempdir()


def _remove_dead(parent: str) -> None:
    """Remove the folders of this user's engines whose process has ended."""
    for folder in Path(parent).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if time.time() - os.fstat(lock).st_mtime < _NEW:
                    continue
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                _log.info("frontrunner.engine_folder_removed", folder=str(folder))
            finally:
                os.close(lock)
