"""What an application holds, by typed keys."""

from aiohttp import web

from ..config import ServerSettings
from ..runtime import Runtime

RUNTIME = web.AppKey("frontrunner.runtime", Runtime)
SETTINGS = web.AppKey("frontrunner.settings", ServerSettings)


def served_model(app: web.Application) -> str:
    """The name under which clients ask for the model."""
    return app[SETTINGS].model or app[RUNTIME].engine.info.model
