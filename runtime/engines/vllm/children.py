"""What the engine's processes do before all else."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from .imports import collect_rarely
from .quiet import keep_quiet

_KEY: Final = "frontrunner_begin"


@contextmanager
def prepared_children() -> Iterator[None]:
    """Processes that are started meanwhile keep quiet from their beginning, and hardly collect
    garbage while they import vLLM: what a process is told of itself is unpickled there before what
    it is to do, and so before vLLM is imported."""
    told: dict[str, Any] | None = getattr(multiprocessing.current_process(), "_config", None)
    if told is None:
        yield
        return
    told[_KEY] = _Begin()
    try:
        yield
    finally:
        told.pop(_KEY, None)


class _Begin:
    """Unpickled, it has prepared that process."""

    def __reduce__(self) -> Any:
        return _begin, ()


def _begin() -> None:
    keep_quiet()
    collect_rarely()
