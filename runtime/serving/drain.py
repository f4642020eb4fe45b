"""Ending a server without cutting anybody off."""

import anyio
import structlog
from aiohttp import web

from ..config import ServerSettings
from .app_keys import SETTINGS
from .runs.run import RUNS
from .security.api_keys import is_loopback

_log = structlog.get_logger("frontrunner.serving")


#: Seconds for which a server that others may reach calls itself not ready before it is.
_GRACE = 5.0


def grace(settings: ServerSettings) -> float:
    """Seconds for which a server that is to end goes on taking requests."""
    if settings.drain_grace is not None:
        return settings.drain_grace
    return 0.0 if settings.socket is not None or is_loopback(settings.host) else _GRACE


async def drain(app: web.Application) -> None:
    """Get ready to end: call the server not ready, go on for ``drain_grace`` seconds until load
    balancers have noticed, then refuse new races and let those that run come to their answers, by
    their deadlines or ``drain_limit`` seconds, whichever is earlier.

    Returns when every client has been told its race's end, or would not listen.
    """
    runs, settings = app[RUNS], app[SETTINGS]
    runs.leaving = True
    _log.info("frontrunner.draining", races=runs.running)
    await anyio.sleep(grace(settings))
    await runs.drain(settings.drain_limit)
    _log.info("frontrunner.drained")
