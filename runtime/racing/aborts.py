"""Telling the engine, for certain and not for too long, to end requests."""

from collections.abc import Callable, Sequence

import anyio
import structlog

from ..common.loop_clock import loop_time
from ..engines.protocol import Engine
from ..errors import EngineError

_log = structlog.get_logger("frontrunner.race")

#: Seconds for an abort past the deadline (a caller's own cancellation): nobody waits any more.
_POST_DEADLINE_TIMEOUT = 0.005


class Aborts:
    """The aborts of one race."""

    def __init__(self, engine: Engine, race_id: str, deadline: float, limit: float) -> None:
        """
        Args:
            deadline: on the anyio clock, seconds; an abort takes at most half of what is left.
            limit: seconds that one abort may take at most.
        """
        self._engine = engine
        self._race_id = race_id
        self._deadline = deadline
        self._limit = limit
        self.unacknowledged: list[str] = []  # requests that the engine could not be told to end
        self.on_abort: Callable[[float, int, bool], None] | None = (
            None  # seconds, requests, acknowledged
        )

    def shorten_deadline(self, deadline: float) -> None:
        """The deadline is earlier now (anyio clock, seconds)."""
        self._deadline = min(self._deadline, deadline)

    async def abort(self, requests: Sequence[str]) -> None:
        # Shielded, since a cancelled scope would cancel the abort itself at its first await, and
        # bounded, since a stalled engine must not hold back the answer.
        if not requests:
            return
        began = loop_time()
        left = self._deadline - began
        done = False
        with anyio.move_on_after(
            min(self._limit, left / 2 if left >= 0 else _POST_DEADLINE_TIMEOUT), shield=True
        ):
            try:
                await self._engine.abort(requests)
                done = True
            except EngineError:
                done = True  # a dead engine runs nothing
            except Exception:  # noqa: BLE001 - whatever an engine raises, it may not cost the result
                _log.exception("frontrunner.abort_failed", race=self._race_id)
        if self.on_abort is not None:
            self.on_abort(loop_time() - began, len(requests), done)
        if not done:
            _log.warning("frontrunner.abort_timed_out", race=self._race_id)
            self.unacknowledged += requests
