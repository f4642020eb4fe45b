"""Python's garbage collector in a process of our own, where its pauses are everybody's."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...runtime import Runtime

#: Branches that full collections are as frequent for as Python has it; for twice as many they are
#: half as frequent, and take twice as long.
_BRANCHES: Final = 32
#: How much rarer they become at most.
_RAREST: Final = 100
#: Collections of the youngest generation before one of the middle.
_YOUNGEST: Final = 3


@contextmanager
def collector_spared(runtime: Runtime) -> Iterator[None]:
    """Keep full garbage collections from holding up the event loop, for the time of a block.

    One of all that was imported takes a quarter of a second, in which no race is called: what is
    there by now is set aside. One of what a few hundred races hold takes as long, and they make so
    many objects that it would run every second: the more branches run, the rarer it is. It is
    needed all the same, for what the libraries of connections leave behind in cycles.

    The middle generation is collected sooner, when less has piled up of what races made lately and
    still need: each time takes less, and all of them together no longer.
    """
    usual = gc.get_threshold()
    young, full = usual[0], usual[1] * usual[2]  # of the youngest's collections

    def adapt(phase: str, info: dict[str, int]) -> None:
        # After each collection of the middle generation, so many of which are followed by a full
        # one. Races need not be watched for it, which would cost something for every event.
        if phase == "stop" and info["generation"] == 1:
            rarer = min(max(1.0, runtime.engine.load().running / _BRANCHES), _RAREST)
            gc.set_threshold(young, _YOUNGEST, round(rarer * full / _YOUNGEST))

    gc.collect()
    gc.freeze()
    gc.set_threshold(young, _YOUNGEST, full // _YOUNGEST)
    gc.callbacks.append(adapt)
    try:
        yield
    finally:
        gc.callbacks.remove(adapt)
        gc.set_threshold(*usual)
        gc.unfreeze()
