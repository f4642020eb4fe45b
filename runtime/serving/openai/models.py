"""``GET /v1/models``: the one model that is served, under each of its names."""

from time import time

from aiohttp import web

from ..app_keys import OTHER_NAMES, RUNTIME, is_served, served_model
from ..errors import UnknownModel, json_response
from ..reply_bodies import Model, Models

_STARTED = int(time())


async def models(request: web.Request) -> web.Response:
    """All names."""
    app = request.app
    names = dict.fromkeys((served_model(app), *app.get(OTHER_NAMES, ())))
    body: Models = {"object": "list", "data": [_model(app, name) for name in names]}
    return json_response(body)


async def model(request: web.Request) -> web.Response:
    """One model.

    Raises:
        UnknownModel: it is not served.
    """
    asked, served = request.match_info["model"], served_model(request.app)
    if not is_served(request.app, asked):
        raise UnknownModel(asked, served)
    return json_response(_model(request.app, asked))


def _model(app: web.Application, name: str) -> Model:
    info = app[RUNTIME].engine.info
    return {
        "id": name,
        "object": "model",
        "created": _STARTED,
        "owned_by": "frontrunner",
        "max_model_len": info.max_context_tokens,
        "frontrunner": {"engine": info.name, "max_branches": info.max_branches},
    }


def add_routes(app: web.Application) -> None:
    app.router.add_get("/v1/models", models)
    app.router.add_get("/v1/models/{model:.+}", model)
