"""Ends vLLM's processes with the process that started them, and their temporary files likewise.

A process that is killed outright (SIGKILL, the out-of-memory killer, a supervisor's SIGTERM that
nobody handles) cannot shut its engine down, and vLLM's core then goes on generating for nobody,
holding its memory. Each of vLLM's processes therefore watches its parent.

``register`` is a ``vllm.general_plugins`` entry point: vLLM calls it in every process it starts.
"""

import multiprocessing
import os
import signal
import threading

from .folder import use_engine_folder


def register() -> None:
    """Start watching, in processes that have a parent to watch. Safe to call twice."""
    parent = multiprocessing.parent_process()
    if parent is None or any(t.name == _NAME for t in threading.enumerate()):
        return
    use_engine_folder()

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    # A daemon, so that it never keeps its process from ending by itself.
    threading.Thread(target=watch, name=_NAME, daemon=True).start()


_NAME = "frontrunner-orphans"
