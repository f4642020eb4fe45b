"""One line in the log for each request: who asked, what came of it, and how long it took."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final, Protocol

import structlog
from aiohttp import web

from ...result import Result
from ..security.api_keys import key_name

_log = structlog.get_logger("frontrunner.access")

#: What machines ask for every few seconds.
_PROBES: Final = ("/livez", "/readyz", "/health", "/metrics")


class RunOfRequest(Protocol):
    """What is read of a race that a request has asked for."""

    race_id: str

    @property
    def outcome(self) -> Result | None:
        """The result; None: there is none (yet)."""
        ...


class AccessLine:
    """What is known of a request."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.status: int | None = None  # None: the connection broke
        self.races: list[RunOfRequest] = []
        self._began = perf_counter()

    def facts(self) -> dict[str, Any]:
        """What the line says. Times are in seconds; ``overshoot`` is how much later than its
        deadline the result came."""
        facts: dict[str, Any] = {
            "method": self.request.method,
            "path": self.request.path,
            "status": self.status or 499,
            "seconds": round(perf_counter() - self._began, 4),
        }
        if (name := key_name(self.request)) is not None:
            facts["key"] = name
        if not self.races:
            return facts
        facts["race"] = self.races[-1].race_id
        if len(self.races) > 1:
            facts["races"] = len(self.races)
        results = [run.outcome for run in self.races]
        known = [result for result in results if result is not None]
        if known:
            last = known[-1]
            facts |= {
                "deadline": last.deadline,
                "elapsed": round(last.elapsed, 4),
                "overshoot": round(max(0.0, *(r.elapsed - r.deadline for r in known), 0.0), 4),
                "stop_reason": last.stop_reason,
                "tokens": sum(result.tokens_generated for result in known),
            }
        return facts


_CURRENT: Final[ContextVar[AccessLine | None]] = ContextVar("frontrunner_access", default=None)


@contextmanager
def access_line(request: web.Request) -> Iterator[AccessLine]:
    """Write the line of a request when the block has ended. Requests of probes are told in lines
    of the level debug, all others in those of info."""
    line = AccessLine(request)
    token = _CURRENT.set(line)
    try:
        yield line
    finally:
        _CURRENT.reset(token)
        level = logging.DEBUG if request.path.endswith(_PROBES) else logging.INFO
        if _is_written(level):
            _log.log(level, "frontrunner.request", **line.facts())


def note_race(run: RunOfRequest) -> None:
    """The request that is being answered has asked for this race."""
    line = _CURRENT.get()
    if line is not None:
        line.races.append(run)


def _is_written(level: int) -> bool:
    """Whether anybody gets a line of this level; an owner's own logger that does not say gets
    it."""
    asked = getattr(_log, "is_enabled_for", None)
    return asked is None or bool(asked(level))
