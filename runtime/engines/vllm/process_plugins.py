"""All that vLLM's processes are told, under the one name that its server is given.

``VLLM_PLUGINS=frontrunner`` loads, in all groups of plugins, only what is called so: races on the
server (``vllm.endpoint_plugins``), and with them what the engine's processes need, which otherwise
has names of its own.
"""

from . import cpu_corrections, parent_watchdog
from .imports import collect_as_usual


def register() -> None:
    """A ``vllm.general_plugins`` entry point; vLLM calls it in every process it starts. Safe to
    call twice."""
    collect_as_usual()
    cpu_corrections.register()
    parent_watchdog.register()
