"""The clock of the event loop, for whoever asks it often."""

import asyncio
import sys
import time
from collections.abc import Callable

import anyio


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs now, if it is asyncio's; None: it is another library's, or none."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def current_loop() -> object:
    """The event loop that runs now, of whichever library, to be told from others by identity.

    Raises:
        RuntimeError: none runs.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return trio.lowlevel.current_trio_token()
    return asyncio.get_running_loop()


def loop_clock() -> Callable[[], float]:
    """Tells the time as ``anyio.current_time`` does (seconds), in the event loop that runs now and
    in no other. anyio finds out anew at each call which library runs, which takes twenty times as
    long as to read the clock."""
    loop = asyncio_loop()
    if loop is None:
        trio = sys.modules.get("trio")
        # An event loop of another kind, or none yet.
        return trio.current_time if trio and trio.lowlevel.in_trio_task() else anyio.current_time
    told = loop.time
    if getattr(told, "__func__", None) is asyncio.BaseEventLoop.time:
        return time.monotonic  # all that it calls
    return told


def loop_time() -> float:
    """``anyio.current_time`` (seconds), for whoever asks it once in a while: a fifth of its time
    where no second library is loaded."""
    return loop_clock()()


def next_turn(call: Callable[[], object]) -> None:
    """Have ``call`` called in the next turn of the event loop that runs now; in one of an unknown
    kind at once."""
    loop = asyncio_loop()
    trio = sys.modules.get("trio")
    if loop is not None:
        loop.call_soon(call)
    elif trio is not None and trio.lowlevel.in_trio_task():
        trio.lowlevel.current_trio_token().run_sync_soon(call)
    else:
        call()
