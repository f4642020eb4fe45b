"""What an application holds, by typed keys."""

from collections.abc import Sequence

from aiohttp import web

from ..config import ServerSettings
from ..runtime import Runtime

RUNTIME = web.AppKey("frontrunner.runtime", Runtime)
SETTINGS = web.AppKey("frontrunner.settings", ServerSettings)
#: Further names that clients may ask for the model by.
OTHER_NAMES = web.AppKey[Sequence[str]]("frontrunner.other_names", Sequence)


def served_model(app: web.Application) -> str:
    """The name under which clients ask for the model."""
    return app[SETTINGS].model or app[RUNTIME].engine.info.model


def is_served(app: web.Application, model: str) -> bool:
    """Whether a client may ask for the model under this name."""
    return model == served_model(app) or model in app.get(OTHER_NAMES, ())
