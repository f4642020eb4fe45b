"""vLLM is imported without the garbage collector, here and in the engine's processes.

A million objects come, nearly all of which stay, and each full collection walks over all that are
there: a quarter of the time that the import takes, and half a second at any later moment. They are
set aside, too, so that no later collection walks over them.
"""

import gc
import sys
from importlib import import_module
from typing import Final

_ENGINE: Final = "vllm.v1.engine.async_llm"
#: New objects between two collections: about as many as vLLM's modules are.
_RARE: Final = 1_000_000
#: What it is else; None: it has not been changed.
_usual: tuple[int, int, int] | None = None


def import_vllm() -> None:
    """Import what starts an engine; it takes seconds the first time. Call it in a thread."""
    if _ENGINE in sys.modules:
        return
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        import_module("vllm.engine.arg_utils")
        import_module(_ENGINE)
        gc.freeze()
    finally:
        if collects:
            gc.enable()


def collect_rarely() -> None:
    """In a process that is about to import what it is to do; until ``collect_as_usual``, which
    vLLM calls there as a plugin. Where it loads none of ours, memory is still freed."""
    global _usual
    _usual = gc.get_threshold()
    gc.set_threshold(_RARE)


def collect_as_usual() -> None:
    """After ``collect_rarely``; else nothing."""
    global _usual
    if _usual is not None:
        gc.freeze()
        gc.set_threshold(*_usual)
        _usual = None
