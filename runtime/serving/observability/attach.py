"""What watches the races of an application: health, metrics, traces."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from ...racing.observers import Observer
from ...runtime import Runtime
from ..runs.run import Runs
from . import health, metrics
from .health import Health, queue_is_full
from .loop_lag import watch_loop_lag
from .metrics import Metrics
from .tracing import make_tracing


class Watching:
    """All observers of an application, and the tasks that they need."""

    def __init__(self, runtime: Runtime, runs: Runs, metrics: Metrics | None = None) -> None:
        """
        Args:
            metrics: of a server that exposes them, too; None: they are the application's own.
        """
        server = runtime.settings.server
        self._runtime, self._runs = runtime, runs
        self._open_metrics = server.open_metrics
        self.health = Health(
            runtime.engine,
            server.progress_limit,
            draining=lambda: runs.leaving,
            queue_full=lambda: queue_is_full(runtime),
        )
        self.metrics = metrics or Metrics()
        if metrics is None:
            self.metrics.read_load(runtime)
        tracing = make_tracing()
        self._observers: list[Observer] = [self.health, self.metrics]
        if tracing is not None:
            self._observers.append(tracing)

    @property
    def tasks(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs for the application's life."""
        return (self.health.run, lambda: watch_loop_lag(self._note_lag))

    def _note_lag(self, seconds: float) -> None:
        self.metrics.loop_lag(seconds)
        self._runs.note_lag(seconds)

    def add_routes(self, app: web.Application) -> None:
        health.add_routes(app, self.health)
        metrics.add_routes(app, self.metrics, open_to_all=self._open_metrics)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Follow the runtime's races for as long as the block lasts."""
        self._runtime.observers += self._observers
        try:
            yield
        finally:
            for observer in self._observers:
                self._runtime.observers.remove(observer)
