"""The command line: ``frontrunner solve``, ``serve``, ``demo``, ``doctor`` and more.

A thin layer over ``Runtime``. ``frontrunner --help`` is quick: each command imports what it needs
when it runs.
"""

import atexit
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from .common.engine_startup import RuntimeFactory

#: Seconds in which threads that were told to end do so.
_ENDING: Final = 0.5


def main(argv: Sequence[str] | None = None, *, make_runtime: "RuntimeFactory | None" = None) -> int:
    """Run the command line and return its exit status (see ``ExitStatus``).

    Args:
        argv: the arguments without the program's name; None: those of the process.
        make_runtime: makes the runtime that questions are raced on, such as
            ``lambda settings: Runtime(MyEngine(), settings)``. None: the vLLM engine that the
            settings describe.
    """
    from .app import run_app

    return run_app(argv, make_runtime)


def command() -> NoReturn:
    """The program ``frontrunner``: runs the command line and ends the process.

    Python takes its time to take apart what was loaded (a second or two once that is vLLM and
    PyTorch), which nobody waits for after the last answer: all is closed by then.
    """
    status = main()
    if _threads_left():
        sys.exit(status)
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads it any more
            stream.flush()
    os._exit(status)


def _threads_left() -> bool:
    """Whether there are threads that Python would wait for, other than those that just end: the
    event loop's helpers are told to when it closes, and nobody waits for them there."""
    own, until = threading.current_thread(), time.monotonic() + _ENDING
    for each in threading.enumerate():
        if each is not own and not each.daemon:
            each.join(max(0.0, until - time.monotonic()))
            if each.is_alive():
                return True
    return False
