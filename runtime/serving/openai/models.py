"""``GET /v1/models``: the one model that is served."""

from time import time
from typing import Any

from aiohttp import web

from ..app_keys import RUNTIME, served_model
from ..errors import UnknownModel, json_response

_STARTED = int(time())


async def models(request: web.Request) -> web.Response:
    """All models."""
    return json_response({"object": "list", "data": [_model(request.app)]})


async def model(request: web.Request) -> web.Response:
    """One model.

    Raises:
        UnknownModel: it is not served.
    """
    asked, served = request.match_info["model"], served_model(request.app)
    if asked != served:
        raise UnknownModel(asked, served)
    return json_response(_model(request.app))


def _model(app: web.Application) -> dict[str, Any]:
    info = app[RUNTIME].engine.info
    return {
        "id": served_model(app),
        "object": "model",
        "created": _STARTED,
        "owned_by": "frontrunner",
        "max_model_len": info.max_context_tokens,
        "frontrunner": {"engine": info.name, "max_branches": info.max_branches},
    }


def add_routes(app: web.Application) -> None:
    app.router.add_get("/v1/models", models)
    app.router.add_get("/v1/models/{model:.+}", model)
