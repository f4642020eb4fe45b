"""What an application holds, by typed keys."""

from aiohttp import web

from ..config import ServerSettings
from ..runtime import Runtime
from .runs.run import Runs

RUNTIME = web.AppKey("frontrunner.runtime", Runtime)
SETTINGS = web.AppKey("frontrunner.settings", ServerSettings)
RUNS = web.AppKey("frontrunner.runs", Runs)


def served_model(app: web.Application) -> str:
    """The name under which clients ask for the model."""
    return app[SETTINGS].model or app[RUNTIME].engine.info.model
