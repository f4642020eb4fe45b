"""How every vLLM engine of ours is started and closed, whatever it runs."""

import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from ...config import (
    DEMO_DRAFT_MODEL,
    DEMO_MODEL,
    DEMO_REWARD_MODEL,
    DEMO_TOOLS_MODEL,
    VllmSettings,
)
from ...errors import BadRequest, EngineStartError
from ...model_files.cache_room import DEFAULT_CACHE_GIB, cache_room
from ...model_files.inspection import GGUF_ADVICE, inspect
from .children import prepared_children
from .folder import EngineFolder
from .processes import EngineProcesses
from .quiet import keep_quiet

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

#: Seconds that an engine's processes get to end by themselves. Nothing runs on them any more, and
#: vLLM waits for most of it before it kills them.
SHUTDOWN_LIMIT: Final = 0.5
#: With more cores vLLM's own way stays: threads bound to cores, in a process of their own.
FEW_CORES: Final = 4
_CPU_EXECUTOR: Final = "frontrunner.runtime.engines.vllm.cpu_executor.CpuExecutor"
_SHIPPED: Final = {
    DEMO_MODEL: "target",
    DEMO_TOOLS_MODEL: "tools",
    DEMO_DRAFT_MODEL: "draft",
    DEMO_REWARD_MODEL: "reward",
}


def require_vllm() -> None:
    """
    Raises:
        EngineStartError: if vLLM is not installed.
    """
    if find_spec("vllm") is None:
        raise EngineStartError(
            "vLLM is not installed: pip install 'frontrunner[vllm]' on a machine with a GPU, "
            "or 'frontrunner[cpu]' without one"
        )


def model_folder(model: str) -> str:
    """What vLLM is told for ``model``: the shipped models have names of their own."""
    if model in _SHIPPED:
        return str(Path(__file__).resolve().parents[2] / "demo" / "model" / _SHIPPED[model])
    return model


def check_model(key: str, model: str) -> None:
    """See that a model given as a folder is there; hub names are vLLM's to check.

    Raises:
        EngineStartError: naming the setting and the folder.
    """
    folder = model_folder(model)
    if folder.lower().endswith(".gguf"):
        raise EngineStartError(
            f"{key}: {folder} is a GGUF file, which vLLM does not read: {GGUF_ADVICE}"
        )
    if folder.startswith(("/", ".", "~")) and not Path(folder, "config.json").exists():
        raise EngineStartError(
            f"{key}: no model in {folder} (a folder with a config.json is expected)"
        )


def cpu_cache_gib(settings: VllmSettings) -> float:
    """The size of the KV cache on a CPU, in GiB.

    Raises:
        EngineStartError: the longest context does not fit into it; naming the keys to change.
    """
    folder = Path(model_folder(settings.model))
    room = None
    if folder.is_dir():
        with suppress(BadRequest):  # whatever is wrong with it is for vLLM to say
            room = cache_room(settings, inspect(folder))
    if room is None:
        return settings.cache_gib or DEFAULT_CACHE_GIB
    if not room.fits:
        raise EngineStartError(f"engine.max_context_tokens: {room.problem}: {room.advice}")
    return room.cache_gib


def set_environment(log_level: str, *, offline: bool) -> None:
    """What vLLM reads from the environment only; the user's own values win."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", log_level)
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # As vLLM's own server has it. Forked, which is the default of its engine where there is a GPU,
    # the core would inherit the event loop and sockets of this process, and load no plugins of its
    # own: nothing would end it with this process (``parent_watchdog``).
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    keep_quiet()


class StartedVllm:
    """A vLLM engine that was started here, and all that it occupies."""

    def __init__(self, llm: "AsyncLLM", folder: EngineFolder) -> None:
        self.llm = llm
        self.processes = EngineProcesses(llm)
        self._folder = folder

    async def shut_down(self) -> None:
        """Stop the engine and free everything; cancelling it does not stop the freeing. Requests
        that still run end with vLLM's ``EngineDeadError``."""
        # First, or it would report the end of the core's process as a crash.
        if self.llm.output_handler is not None:
            self.llm.output_handler.cancel()
        self.fail_requests()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._end)
        multiprocessing.active_children()  # reaps those that had died before

    def fail_requests(self) -> None:
        """End all requests with vLLM's ``EngineDeadError``, now."""
        from vllm.v1.engine.exceptions import EngineDeadError

        self.llm.output_processor.propagate_error(EngineDeadError())

    def _end(self) -> None:
        try:
            self.llm.shutdown(SHUTDOWN_LIMIT)
        finally:
            self.processes.end()
            self._folder.remove()


def build(arguments: Mapping[str, Any], stat_loggers: Sequence[Any] = ()) -> StartedVllm:
    """Start an engine; blocks for seconds, for its child processes. Call it in a thread."""
    folder = EngineFolder()
    try:
        with folder.used():
            return StartedVllm(_build(arguments, stat_loggers), folder)
    except BaseException:
        folder.remove()
        raise


def _build(arguments: Mapping[str, Any], stat_loggers: Sequence[Any]) -> "AsyncLLM":
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    # A bar of progress among the lines of a program's own log tells it nothing.
    arguments = {"use_tqdm_on_load": False, **arguments}
    if current_platform.is_cpu() and runs_in_core(arguments):
        arguments = {**arguments, "distributed_executor_backend": _CPU_EXECUTOR}
    # Ctrl-C in a terminal goes to the whole process group, and so does a supervisor's SIGTERM. The
    # engine's processes inherit this thread's mask and so survive both: they are to end when we say
    # so, after the last answers (told to end, vLLM takes no request any more, forced ones
    # included). That we are gone they notice by themselves (see ``orphans``).
    # Python's resource tracker comes first: starting it unblocks both signals in this thread.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with prepared_children():
            return AsyncLLM.from_engine_args(
                AsyncEngineArgs(**arguments), stat_loggers=list(stat_loggers) or None
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def runs_in_core(arguments: Mapping[str, Any]) -> bool:
    """Whether a CPU's model runs in vLLM's core process, without a worker (``cpu_executor``)."""
    return (
        len(os.sched_getaffinity(0)) <= FEW_CORES
        and arguments.get("tensor_parallel_size", 1) == 1
        and "VLLM_CPU_OMP_THREADS_BIND" not in os.environ
    )


def start_error(model: str, error: BaseException) -> EngineStartError:
    """Why an engine did not start, and what shows more."""
    return EngineStartError(
        f"vLLM did not start with model {model!r}: {first_line(error)} "
        '(engine.log_level = "INFO" shows vLLM\'s own log; `frontrunner doctor` checks '
        "the installation)"
    )


def first_line(error: BaseException) -> str:
    """The first line that says something: pydantic's only counts the errors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 2 and "validation error" in lines[0]:
        return lines[2]
    return lines[0] if lines else type(error).__name__
