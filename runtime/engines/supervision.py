"""Something with processes of its own that is started again when it dies or hangs: an engine
(``supervised``), a reward model's.

``run_beside``, which the runtime runs in the background for as long as it is entered, looks after
the one that runs: one that died is replaced, and one that took no step for a while although it had
work is killed first, so that whatever waits on it hears of it at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final, Generic, Protocol, TypeVar

import anyio
import structlog

from ..errors import EngineClosed, EngineDead, EngineError, EngineRestarting, EngineStartError
from .protocol import EngineLoad

_log = structlog.get_logger("frontrunner.engine")

#: Seconds between two looks at the engine.
_LOOK: Final = 0.1
#: A step may take so many times what slow ones took of late before it counts as none.
_SLOW_STEPS: Final = 20
#: Seconds that a start is expected to take before one was measured.
_START: Final = 10.0


class Restartable(Protocol):
    """What is looked after."""

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    @property
    def failure(self) -> EngineError | None:
        """See ``Engine.failure``."""
        ...

    @property
    def steps(self) -> int:
        """Steps since the start. Prompts that are taken in count, too."""
        ...

    def load(self) -> EngineLoad:
        """Of it, how much runs and waits, and how long slow steps took of late."""
        ...

    def kill(self, why: str) -> None:
        """End its processes at once: whatever waits on them ends with ``EngineDead``, which is what
        ``failure`` is from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Supervision:
    """When an engine is started again."""

    stall_limit: float
    """Seconds without a step, while requests run, after which it hangs."""
    restarts: int
    """Starts that may fail in a row; an engine that dies soon after its start counts as one.
    0: it is not started again."""
    shortest_pause: float = 0.5
    """Seconds before the second start in a row; doubled for each further one."""
    longest_pause: float = 30.0
    """Seconds."""
    stable: float = 30.0
    """Seconds after which the start of an engine has worked."""
    key: str = "engine.restarts"
    """What ``restarts`` is called where somebody may set it."""


P = TypeVar("P", bound=Restartable)


class Supervised(Generic[P]):
    """Something that is made anew when it dies or hangs; satisfies ``RunsBeside`` and
    ``CountsRestarts``."""

    what = "the engine"
    """What it is, in the words of whoever is told of it."""

    def __init__(self, make: Callable[[], P], supervision: Supervision) -> None:
        """
        Args:
            make: gives one that was not started; called once now and once for each restart.

        Raises:
            EngineStartError: ``make`` does.
        """
        self._make = make
        self._limits = supervision
        self._engine = make()
        self._supervised = False
        self._started_at = 0.0
        self._start_seconds = _START
        self._failed_starts = 0  # in a row
        self._why: str | None = None  # it is down
        self._back_at = 0.0  # when it is expected to be up
        self._final: EngineDead | None = None  # no more starts are tried
        self._closed = False
        self._rebuilt = anyio.Event()  # or given up
        self.restarts = 0

    @property
    def inner(self) -> P:
        """The one that runs, or ran last."""
        return self._engine

    # ── its life ──────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        self._closed, self._final, self._why, self._failed_starts = False, None, None, 0
        began = anyio.current_time()
        await self._engine.start()
        self._took_start(began)

    async def aclose(self) -> None:
        self._closed = True
        with anyio.CancelScope(shield=True):
            # A start in a thread cannot be cut short; nothing of it may be left.
            while self._why is not None and self._supervised:
                await self._rebuilt.wait()
            await self._engine.aclose()

    async def run_beside(self) -> None:
        """Start the engine again whenever it dies or hangs, until cancelled; at most once at a
        time, while it is started."""
        self._supervised = True
        try:
            while self._final is None and not self._closed:
                await self._watch()
                if not self._closed:
                    await self._restart()
        finally:
            self._supervised, self._why = False, None
            self._rebuilt.set()

    async def _watch(self) -> None:
        """Wait until the engine is lost; one that hangs is killed."""
        engine, silent = self._engine, 0.0
        steps, last = engine.steps, anyio.current_time()
        while True:
            await anyio.sleep(_LOOK)
            if self._closed:
                return
            if engine.failure is not None:
                self._goes_down(str(engine.failure))
                return
            now = anyio.current_time()
            # A busy event loop hears of no steps either, and is no fault of the engine's.
            passed, last = min(now - last, 2 * _LOOK), now
            load = engine.load()
            if engine.steps != steps:
                steps, silent = engine.steps, 0.0
            elif load.running + load.waiting:
                silent += passed
            if silent >= max(self._limits.stall_limit, _SLOW_STEPS * (load.step_seconds or 0.0)):
                why = f"{self.what} hung: it took no step for {silent:.1f} s"
                self._goes_down(why)
                engine.kill(why)
                return

    def _goes_down(self, why: str) -> None:
        lived = anyio.current_time() - self._started_at
        self._failed_starts = 0 if lived >= self._limits.stable else self._failed_starts + 1
        # In this order: nobody shall see the dead engine without what is done about it.
        self._rebuilt = anyio.Event()
        self._back_at = anyio.current_time() + self._pause() + self._start_seconds
        self._why = why
        _log.error("frontrunner.engine_lost", why=why, lived=round(lived, 1))

    async def _restart(self) -> None:
        """Start engines until one runs, or too many have failed in a row."""
        try:
            await self._engine.aclose()
        except Exception:  # noqa: BLE001 - whatever is wrong with the old one, a new one may work
            _log.exception("frontrunner.engine_not_closed")
        most = self._limits.restarts
        while most and self._failed_starts <= most and not self._closed:
            pause = self._pause()
            began = anyio.current_time() + pause
            self._back_at = began + self._start_seconds
            _log.warning("frontrunner.engine_restarting", attempt=self._failed_starts, pause=pause)
            await anyio.sleep(pause)
            try:
                engine = self._make()
                await engine.start()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next may work
                self._failed_starts += 1
                expected = isinstance(error, EngineStartError)
                _log.error(
                    "frontrunner.engine_not_restarted", error=str(error), exc_info=not expected
                )
                continue
            self._engine = engine
            self.restarts += 1
            self._took_start(began)
            self._why = None
            self._rebuilt.set()
            _log.warning(
                "frontrunner.engine_restarted",
                seconds=round(self._start_seconds, 2),
                restarts=self.restarts,
            )
            return
        if self._closed:
            return
        why = self._why or f"{self.what} died"
        if most:
            why += f"; {self._failed_starts} starts in a row have failed, the log says why"
        self._final = EngineDead(f"{why}; no more are tried ({self._limits.key} = {most})")
        _log.error("frontrunner.engine_given_up", why=str(self._final))

    def _pause(self) -> float:
        """Seconds before the next start: none before the first."""
        again = self._failed_starts - 1
        if again < 0:
            return 0.0
        longest = self._limits.longest_pause
        return min(longest, self._limits.shortest_pause * 2.0 ** min(again, 30))

    def _took_start(self, began: float) -> None:
        self._started_at = anyio.current_time()
        self._start_seconds = self._started_at - began

    @property
    def failure(self) -> EngineError | None:
        """``EngineRestarting`` while it is down, ``EngineDead`` once no more starts are tried."""
        if self._closed:
            return EngineClosed(f"{self.what} is not running")
        if self._final is not None:
            return self._final
        why = self._why
        if why is None:
            failure = self._engine.failure
            if not self._supervised or not isinstance(failure, EngineDead):
                return failure
            why = str(failure)  # the next look will find it
            return EngineRestarting(why, float(ceil(self._start_seconds)))
        left = self._back_at - anyio.current_time()
        return EngineRestarting(why, float(max(1, ceil(left))))
