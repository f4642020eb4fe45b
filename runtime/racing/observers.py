"""Hearing of every race of a runtime: for metrics, tracing, and whoever must know that it gets on.

::

    runtime = Runtime(engine, observers=[Metrics()])

Unlike the reader of a stream, an observer is called where things happen: it is synchronous, must be
quick, and can hold up nothing else but the time it takes. One that fails is logged; the race goes
on.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from ..events.types import BranchProgressed, Event
from ..result import Result
from .spec import RaceSpec

_log = structlog.get_logger("frontrunner.observers")


class RaceWatcher(Protocol):
    """Follows one race.

    One that has an attribute ``hears_progress`` that is false is told no ``BranchProgressed``, of
    which there are as many as tokens. One that has a method ``progressed`` is told the time of the
    race (seconds) whenever tokens came, of however many at once.
    """

    def event(self, event: Event) -> None:
        """What happened; in order, nothing joined."""
        ...

    def aborted(self, seconds: float, requests: int, acknowledged: bool, /) -> None:
        """Aborting ``requests`` engine requests took ``seconds``; not ``acknowledged``: the
        engine did not take it in time."""
        ...

    def ended(self, result: Result | None) -> None:
        """The last call. Without a result the caller gave up."""
        ...


class Observer(Protocol):
    """Follows all races of a runtime."""

    def watch(self, spec: RaceSpec, model: str) -> RaceWatcher:
        """Called as a race begins, in the task and the context in which it runs."""
        ...


class Watchers:
    """The watchers of one race as one; none of them can harm the race or another."""

    def __init__(self, observers: Sequence[Observer], spec: RaceSpec, model: str) -> None:
        self._watchers: list[RaceWatcher] = []
        for observer in observers:
            self._safely(lambda o=observer: self._watchers.append(o.watch(spec, model)))
        self._patient = [w for w in self._watchers if getattr(w, "hears_progress", True)]
        pulses = [getattr(w, "progressed", None) for w in self._watchers]
        self._pulses: list[Callable[[float], None]] = [p for p in pulses if p is not None]

    @property
    def hears_progress(self) -> bool:
        """Whether any of them does."""
        return bool(self._patient)

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def event(self, event: Event) -> None:
        # By far the most frequent call: nothing is made for it.
        for watcher in self._patient if type(event) is BranchProgressed else self._watchers:
            try:
                watcher.event(event)
            except Exception:  # noqa: BLE001 - as below
                _log.exception("frontrunner.observer_failed")

    def progressed(self, at: float) -> None:
        for pulse in self._pulses:
            try:
                pulse(at)
            except Exception:  # noqa: BLE001 - as below
                _log.exception("frontrunner.observer_failed")

    def aborted(self, seconds: float, requests: int, acknowledged: bool) -> None:
        for watcher in self._watchers:
            self._safely(lambda w=watcher: w.aborted(seconds, requests, acknowledged))

    def ended(self, result: Result | None) -> None:
        for watcher in self._watchers:
            self._safely(lambda w=watcher: w.ended(result))

    def _safely(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001 - whatever an observer does, the race must answer
            _log.exception("frontrunner.observer_failed")
