"""The command line: ``frontrunner solve``, ``serve``, ``demo``, ``doctor`` and more.

A thin layer over ``Runtime``. ``frontrunner --help`` is quick: each command imports what it needs
when it runs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .common.engine_startup import RuntimeFactory


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
