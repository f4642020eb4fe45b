"""Runs the model in vLLM's core process itself, for machines with few cores.

vLLM's CPU backend gives the model a worker process of its own. Core and worker then wait for each
other in busy loops, three times a step with speculation: on two cores the one that waits takes the
core that the program needs, and the other's time goes into messages. In one process steps take
less time, most of all those with speculation, and the engine starts sooner, by one import of vLLM.

vLLM reasons that threads cannot be bound to cores in this way (``platforms/cpu.py``). Where there
are many cores, or sockets, that counts for more, and vLLM's own way stays; likewise where the user
has said how threads are to be bound (``VLLM_CPU_OMP_THREADS_BIND``).

Only vLLM imports this module (see ``vllm_start.build``): it needs vLLM at import.
"""

import os

import torch
from vllm.v1.executor.uniproc_executor import UniProcExecutor


class CpuExecutor(UniProcExecutor):
    """vLLM's executor of one process, with a core left for the program that asks."""

    def _init_executor(self) -> None:
        if "OMP_NUM_THREADS" not in os.environ:
            # Before the worker comes: it forbids it afterwards.
            torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - 1))
        super()._init_executor()
