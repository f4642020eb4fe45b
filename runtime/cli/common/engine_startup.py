"""Waiting for an engine: a spinner, and what its libraries print kept out of sight."""

import gc
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from math import inf
from tempfile import TemporaryFile
from typing import BinaryIO, TextIO

import anyio

from ...config import PoolSettings, Settings, VllmSettings
from ...errors import EngineError
from ...runtime import Runtime
from .output import set_aside
from .printable import printable
from .running import kill_descendants

#: Makes the runtime that a command's questions are raced on.
RuntimeFactory = Callable[[Settings], Runtime]

STARTING = "starting the engine: loads the model, ~15 s the first time"
#: Lines of the engine's own output that are shown if it fails.
_SHOWN_LINES = 40
#: Between two looks for processes of an engine that shall not start, in seconds.
_KILL_PAUSE = 0.1
#: When generations are collected (see ``gc.set_threshold``) while races run.
_THRESHOLDS = 700, 3, 3500


def configured(settings: Settings) -> Runtime:
    """The runtime that the settings describe.

    Raises:
        ConfigError, EngineStartError: what is wrong is said at once, before an engine starts.
    """
    from ...engines.vllm.engine import check_model_folder

    engine = settings.engine
    for one in engine.members if engine.kind == "pool" else (engine,):
        if one.kind == "vllm":
            check_model_folder(one)  # at once, and not beside whatever else starts
    return Runtime.from_config(settings)


@asynccontextmanager
async def started(runtime: Runtime, *, show: bool) -> AsyncGenerator[Runtime, None]:
    """Enter ``runtime``, with a spinner for the time that its engine takes to start.

    What the engine's processes print is shown only if the engine fails, unless the settings ask
    for more log than errors.

    Raises:
        EngineStartError: with the reason and what to do.

    Cancelling it stops the engine.
    """
    with TemporaryFile() as log:
        try:
            async with AsyncExitStack() as stack:
                with ExitStack() as meanwhile:
                    terminal: TextIO | None = sys.stderr
                    if _wants_silence(runtime.settings):
                        terminal = meanwhile.enter_context(set_aside(log))
                    meanwhile.enter_context(spinner(STARTING, terminal if show else None))
                    await _enter(runtime, stack)
                stack.enter_context(_collector_spared())
                yield runtime
                failed = runtime.engine.failure is not None
        except EngineError:
            # Of an engine that did not come up because the caller gave up, nobody wants to know.
            if anyio.current_effective_deadline() > -inf:
                _replay(log)
            raise
        if failed:
            _replay(log)


@contextmanager
def _collector_spared() -> Iterator[None]:
    """Keep full garbage collections from holding up the event loop; for a process of our own.

    One of all that was imported takes a quarter of a second, in which no race is called: what is
    there by now is set aside. One of what a few hundred races hold takes as long. Races leave no
    cycles behind, so the oldest generation is collected a hundred times as rarely as it would be.
    The middle one is collected sooner, when less has piled up of what races made lately and still
    need: each time takes less, and all of them together no longer.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


async def _enter(runtime: Runtime, stack: AsyncExitStack) -> None:
    """Enter ``runtime``; cancelled, it does not wait until the engine is up.

    An engine is built in a thread, which cannot be cancelled and waits for the engine's processes.
    Without them it fails at once and cleans up.
    """
    entered = False

    async def end_processes() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                while not entered:  # the thread may only be about to start them
                    kill_descendants()
                    await anyio.sleep(_KILL_PAUSE)

    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end_processes)
        try:
            await stack.enter_async_context(runtime)
        except Exception as error:  # noqa: BLE001 - raised again outside the group, unwrapped
            failure = error
        finally:
            entered = True
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


@contextmanager
def spinner(message: str, terminal: TextIO | None) -> Iterator[None]:
    """Show ``message`` and a spinner while the block runs, if ``terminal`` is one."""
    if terminal is None or not terminal.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner

    with Live(
        Spinner("dots", message, style="green"),
        console=Console(file=terminal),
        refresh_per_second=12,
        transient=True,
        # Or libraries that keep the streams they find now would go on drawing around it.
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield


def _wants_silence(settings: Settings) -> bool:
    engine = settings.engine
    engines = engine.members if isinstance(engine, PoolSettings) else (engine,)
    quiet = all(not isinstance(e, VllmSettings) or e.log_level == "ERROR" for e in engines)
    return quiet and settings.log.level in ("warning", "error")


def _replay(log: BinaryIO) -> None:
    log.seek(0)
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    for line in lines[-_SHOWN_LINES:]:
        print(f"engine: {printable(line)}", file=sys.stderr)
