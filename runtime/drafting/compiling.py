"""The functions that the proposer calls, compiled by numba and kept on disk between starts.

Compiling takes seconds, which every start of an engine would pay. numba can keep what it made, but
looks only at the file of the function itself to see whether that is still right, not at those of
the functions it calls. So the folder's name holds a digest of all sources here.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

_config: Any = numba.config


@cache
def cache_folder() -> Path | None:
    """Where compiled functions are kept: below ``NUMBA_CACHE_DIR`` if that is set, else below the
    user's cache folder (``XDG_CACHE_HOME``, ``~/.cache``). None: nothing can be written there."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    try:
        base = (
            _config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home().joinpath(".cache")
        )
        folder = Path(base, "frontrunner", f"drafting-{digest.hexdigest()[:16]}")
        folder.mkdir(parents=True, exist_ok=True)
        (probe := folder / f"writable-{os.getpid()}").touch()
        probe.unlink()
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return folder


def njit_kept(function: Callable[..., Any]) -> Any:
    """``function``, compiled for the types that it is first called with, or read from the disk."""
    folder = cache_folder()
    if folder is None:
        return numba.njit(nogil=True)(function)
    before = _config.CACHE_DIR
    _config.CACHE_DIR = str(folder)  # where numba looks while it decorates
    try:
        return numba.njit(nogil=True, cache=True)(function)
    finally:
        _config.CACHE_DIR = before


def forget_compiled() -> None:
    """Remove what was kept, after something there could not be read."""
    folder = cache_folder()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
