"""Whether the server is alive, and whether it should be sent requests.

An engine can hang and not say so: its process lives, and nothing comes out of it. What tells is
that races run on it and no token comes, so ``Health`` is an ``Observer`` of races. Likewise an
endpoint that was lost is back once a token came from it, and not because time has passed.

The process is alive as long as a restart of it would not help: an engine that died is started
again, an endpoint may come back.
"""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import anyio
import structlog
from aiohttp import web

from ...engines.protocol import Engine, Generation, Sampling
from ...errors import EngineClosed, EngineDead, EngineError, EngineRestarting
from ...events.types import Event
from ...racing.spec import RaceSpec
from ...result import Result
from ...runtime import Runtime
from ..errors import json_response
from ..reply_bodies import Live, Ready
from ..security.api_keys import public

_log = structlog.get_logger("frontrunner.serving")

#: How often ``Health.run`` looks whether it must try the engine, in seconds.
_POLL_INTERVAL = 1.0
#: Seconds that aborting the request of such a try may take.
_ABORT_LIMIT = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the server is not ready."""

    code: str
    message: str


class Health:
    """Follows the engine's progress; an ``Observer`` of races."""

    def __init__(
        self,
        engine: Engine,
        progress_limit: float,
        *,
        draining: Callable[[], bool] = lambda: False,
        queue_full: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Args:
            progress_limit: seconds in which an engine with work must give a token.
            draining: whether the server is about to end.
            queue_full: whether the next race that has to wait would be refused.
        """
        self._engine = engine
        self._limit = progress_limit
        self._draining = draining
        self._queue_full = queue_full
        self._racing = 0
        self._since = 0.0  # when the present stretch of waiting for a token began
        self._silent = 0.0  # seconds waited in stretches that ended without one
        self._lost: EngineError | None = None  # why; no token came since

    # ── what happens ──────────────────────────────────────────────────────────────────────────

    def watch(self, spec: RaceSpec, model: str) -> "_Progress":
        if self._racing == 0:
            self._since = anyio.current_time()
        self._racing += 1
        return _Progress(self, spec.began)

    def progressed(self, at: float | None = None) -> None:
        """The engine gave a token, ``at`` that moment (anyio clock, seconds), or now."""
        self._since, self._silent = anyio.current_time() if at is None else at, 0.0
        self._lost = None

    def ended(self) -> None:
        """A watched race runs no more."""
        self._racing -= 1
        if self._racing == 0:
            # Kept: an engine that hangs lets each race end at its deadline, and the next begin.
            self._silent += anyio.current_time() - self._since

    # ── what follows ──────────────────────────────────────────────────────────────────────────

    @property
    def silence(self) -> float:
        """Seconds for which races have waited for a token, since the last one came."""
        waiting = anyio.current_time() - self._since if self._racing else 0.0
        return self._silent + waiting

    def faults(self) -> list[Fault]:
        """Why the server should not be sent requests; empty: it should."""
        faults: list[Fault] = []
        failure = self._look()
        if failure is not None:
            faults.append(Fault(_code(failure), str(failure)))
        elif self.silence > self._limit and (self._works or not self._racing):
            faults.append(
                Fault("no_progress", f"the engine gave no token for {self.silence:.1f} s")
            )
        if self._draining():
            faults.append(Fault("draining", "the server is about to end"))
        if self._queue_full():
            faults.append(Fault("queue_full", "no more races can wait for branches"))
        return faults

    @property
    def alive(self) -> bool:
        """Whether a restart of this process would not help."""
        return not isinstance(self._engine.failure, EngineDead)

    def _look(self) -> EngineError | None:
        """Why the engine takes no requests, or took none when it was last asked."""
        failure = self._engine.failure
        if failure is not None and _code(failure) == "engine_unreachable":
            self._lost = failure
        return failure or self._lost

    @property
    def _works(self) -> bool:
        """Whether the engine has requests: else a race waits for something else."""
        load = self._engine.load()
        return load.running + load.waiting > 0

    async def run(self) -> None:
        """Try an engine that fell silent or was lost, while no race does, until cancelled.

        A server that is not ready is sent nothing, and so would never hear of the engine again.
        """
        while True:
            await anyio.sleep(_POLL_INTERVAL)
            failure = self._look()
            lost = failure is not None and failure is self._lost
            silent = failure is None and self.silence > self._limit
            if (lost or silent) and not self._racing:
                await self._try_engine()

    async def _try_engine(self) -> None:
        try:
            prompt = self._engine.encode("1")
            request = Generation("health", prompt, max_tokens=1, sampling=Sampling())
            with anyio.move_on_after(self._limit):
                async with aclosing(self._engine.generate(request)) as chunks:
                    async for _ in chunks:
                        self.progressed()
            with anyio.move_on_after(_ABORT_LIMIT, shield=True):
                await self._engine.abort([request.request_id])
        except EngineError:
            pass  # ``faults`` tells, if it is dead
        except Exception:  # noqa: BLE001 - whatever an engine raises, the next try may work
            _log.exception("frontrunner.health_check_failed")


def _code(failure: EngineError) -> str:
    if isinstance(failure, EngineRestarting):
        return "engine_restarting"
    return "engine_dead" if isinstance(failure, EngineDead | EngineClosed) else "engine_unreachable"


def queue_is_full(runtime: Runtime) -> bool:
    """Whether a race that had to wait for branches would be refused at once."""
    load, limit = runtime.admission_load(), runtime.settings.race.queue
    return load.waiting >= limit and (limit > 0 or load.free == 0)


class _Progress:
    """Follows one race."""

    hears_progress = False

    def __init__(self, health: Health, began: float) -> None:
        self._health = health
        self._began = began  # anyio clock, seconds

    def event(self, event: Event) -> None:
        pass

    def progressed(self, at: float) -> None:
        """Tokens came, so many seconds after the race began."""
        self._health.progressed(self._began + at)

    def aborted(self, seconds: float, requests: int, acknowledged: bool) -> None:
        pass

    def ended(self, result: Result | None) -> None:
        self._health.ended()


def add_routes(app: web.Application, health: Health) -> None:
    """``GET /livez``, ``/readyz`` and ``/health``, open to all."""

    @public
    async def livez(request: web.Request) -> web.Response:
        body: Live = {"status": "alive" if health.alive else "engine_dead"}
        return json_response(body, status=200 if health.alive else 503)

    @public
    async def readyz(request: web.Request) -> web.Response:
        faults = health.faults()
        body: Ready = {
            "status": "unavailable" if faults else "ready",
            "reasons": [{"code": fault.code, "message": fault.message} for fault in faults],
        }
        headers = {"Cache-Control": "no-store"}
        return json_response(body, status=503 if faults else 200, headers=headers)

    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/health", readyz)
