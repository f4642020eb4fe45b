"""What the fork server of the engine's processes imports: all that a core of vLLM's imports before
it looks at a model.

Without the garbage collector, and set aside from it: neither importing nor any of the forked
processes walks over a million objects that stay.
"""

import gc
from contextlib import suppress
from importlib import import_module

MODULES = (
    "vllm.v1.engine.core",
    "vllm.v1.worker.cpu_worker",
    "vllm.model_executor.models.llama",
)

gc.disable()
with suppress(ImportError):  # as the fork server itself has it: a process imports what is missing
    for name in MODULES:
        import_module(name)
gc.freeze()
gc.enable()
