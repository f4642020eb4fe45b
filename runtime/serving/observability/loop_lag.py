"""How late the event loop runs what is due: a first sign of overload, and what costs deadlines."""

from collections.abc import Callable

import anyio

#: Seconds between two samples.
_INTERVAL = 0.25


async def watch_loop_lag(report: Callable[[float], None], interval: float = _INTERVAL) -> None:
    """Report the loop's lag, in seconds, every ``interval`` seconds until cancelled.

    A sample is how much later than asked for a sleep ends. A loop that stands still reports it when
    it goes on, as one long lag.
    """
    while True:
        due = anyio.current_time() + interval
        await anyio.sleep_until(due)
        report(max(0.0, anyio.current_time() - due))
