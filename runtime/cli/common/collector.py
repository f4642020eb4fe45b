"""Python's garbage collector in a process of our own, where its pauses are everybody's."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...events.types import Event
from ...racing.spec import RaceSpec
from ...result import Result
from ...runtime import Runtime

#: Branches that full collections are as frequent for as Python has it; for twice as many they are
#: half as frequent. A full collection takes about 0.1 ms a branch that runs.
_BRANCHES: Final = 32
#: How much rarer they become at most.
_RAREST: Final = 100


@contextmanager
def collector_spared(runtime: Runtime) -> Iterator[None]:
    """Keep full garbage collections from holding up the event loop, for the time of a block.

    One of all that was imported takes a quarter of a second, in which no race is called: what is
    there by now is set aside. One of what a few hundred races hold takes as long, and they make so
    many objects that it would run every second: the more branches run, the rarer it is. It is
    needed all the same, for what the libraries of connections leave behind in cycles.
    """
    rarely = _Rarely()
    gc.collect()
    gc.freeze()
    runtime.observers.append(rarely)
    try:
        yield
    finally:
        runtime.observers.remove(rarely)
        rarely.end()
        gc.unfreeze()


class _Rarely:
    """An ``Observer`` of races that sets how often the oldest generation is collected."""

    def __init__(self) -> None:
        self._usual = gc.get_threshold()
        self._branches = 0
        self._over = False

    def watch(self, spec: RaceSpec, model: str) -> "_Race":
        return _Race(self, spec.max_branches)

    def run(self, branches: int) -> None:
        """So many more branches run, or fewer."""
        if self._over:
            return
        self._branches += branches
        rarer = min(max(1.0, self._branches / _BRANCHES), _RAREST)
        gc.set_threshold(*self._usual[:2], round(rarer * self._usual[2]))

    def end(self) -> None:
        """As it was before, whatever runs on."""
        self._over = True
        gc.set_threshold(*self._usual)


class _Race:
    """A ``RaceWatcher``."""

    hears_progress: Final = False

    def __init__(self, rarely: _Rarely, branches: int) -> None:
        self._rarely, self._branches = rarely, branches
        rarely.run(branches)

    def event(self, event: Event) -> None:
        pass

    def aborted(self, seconds: float, requests: int, acknowledged: bool, /) -> None:
        pass

    def ended(self, result: Result | None) -> None:
        self._rarely.run(-self._branches)
