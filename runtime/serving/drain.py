"""Ending a server without cutting anybody off."""

import anyio
import structlog
from aiohttp import web

from .app_keys import SETTINGS
from .runs.run import RUNS

_log = structlog.get_logger("frontrunner.serving")


async def drain(app: web.Application) -> None:
    """Get ready to end: call the server not ready, go on for ``drain_grace`` seconds until load
    balancers have noticed, then refuse new races and let those that run come to their answers, by
    their deadlines or ``drain_limit`` seconds, whichever is earlier.

    Returns when every client has been told its race's end, or would not listen.
    """
    runs, settings = app[RUNS], app[SETTINGS]
    runs.leaving = True
    _log.info("frontrunner.draining", races=runs.running)
    await anyio.sleep(settings.drain_grace)
    await runs.drain(settings.drain_limit)
    _log.info("frontrunner.drained")
