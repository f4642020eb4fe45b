"""The application: what is served, under which rules, and for how long."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.contextvars import bound_contextvars

from ..config import ServerSettings
from ..errors import ConfigError, FrontrunnerError
from ..runtime import Runtime
from . import openapi
from .app_keys import OTHER_NAMES, RUNTIME, SETTINGS
from .errors import error_response, plain_error
from .observability.attach import Watching
from .observability.metrics import Metrics
from .observability.tracing import trace_middleware
from .openai import chat, completions, models
from .playground import routes as playground
from .replies.completion_races import ClientGone
from .requests.limits import is_uncompressed
from .requests.slices import SLICES, Slices
from .responses import routes as responses
from .runs.access_log import access_line
from .runs.run import RUNS, Runs
from .security.api_keys import Keys, is_loopback, key_middleware
from .security.cors import Origins, cors_headers, origin_middleware

_log = structlog.get_logger("frontrunner.serving")

_REQUEST_ID: Final = "X-Request-Id"
#: Under which a request keeps its name.
_NAME: Final = web.RequestKey("frontrunner.request_id", str)
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

WATCHING = web.AppKey("frontrunner.watching", Watching)

#: Each adds the routes of one topic.
ROUTES: Final[tuple[Callable[[web.Application], None], ...]] = (
    chat.add_routes,
    completions.add_routes,
    models.add_routes,
    openapi.add_routes,
    playground.add_routes,
    responses.add_routes,
)


@dataclass(frozen=True, slots=True)
class Host:
    """What a server says that serves the application as a part of its own."""

    keys: tuple[tuple[str, str], ...] = ()
    """Pairs of a name and a key, which count beside those of the settings."""
    model_names: tuple[str, ...] = ()
    """Further names that clients may ask for the model by."""
    metrics: Metrics | None = None
    """What counts the races, where the server exposes it, too."""


def create_app(
    runtime: Runtime, *, owns_runtime: bool = False, host: Host | None = None
) -> web.Application:
    """The server's application, by ``runtime.settings.server``.

    Run it by itself, or mount it in another one (``add_subapp``). When it shuts down, races that
    run get ``drain_limit`` seconds to come to their answers.

    Args:
        runtime: what races are run on. It is entered by the caller, and left after the application
            has ended.
        owns_runtime: the application enters and leaves it.
        host: of a server that serves the application as a part of its own.

    Raises:
        ConfigError: the keys or origins cannot be read.
    """
    settings, host = runtime.settings.server, host or Host()
    keys = Keys.from_settings(settings, host.keys)
    origins = _origins(settings, keys)
    app = web.Application(middlewares=_middlewares(keys, origins))
    app.on_response_prepare.append(cors_headers(origins))
    app.on_response_prepare.append(_name_request)
    app[RUNTIME], app[SETTINGS], app[RUNS] = runtime, settings, Runs(runtime)
    app[SLICES], app[OTHER_NAMES] = Slices(), host.model_names
    app.on_shutdown.append(_drain)  # before those that close connections
    for add_routes in ROUTES:
        add_routes(app)
    app[WATCHING] = Watching(runtime, app[RUNS], host.metrics)
    app[WATCHING].add_routes(app)
    if owns_runtime:
        app.cleanup_ctx.append(_runtime_life)
    app.cleanup_ctx.append(_runs_life)
    return app


def _middlewares(keys: Keys, origins: Origins) -> list[Middleware]:
    """From the outermost on."""
    tracing = trace_middleware()
    outer = [_errors, origin_middleware(origins), key_middleware(keys)]
    return outer if tracing is None else [*outer, tracing]


def _origins(settings: ServerSettings, keys: Keys) -> Origins:
    try:
        return Origins(settings.origins, loopback_only=not keys and is_loopback(settings.host))
    except ValueError as error:
        raise ConfigError("server.origins", str(error)) from None


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong is said in OpenAI's form, and whatever is logged meanwhile, by the races
    of the request, too, has its name."""
    request[_NAME] = name = _name_of(request)
    with bound_contextvars(request_id=name), access_line(request) as line:
        response = await _answered(request, handler)
        line.status = response.status
    _leave_compressed_rest(request)
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except FrontrunnerError as error:
        return error_response(error)
    except ClientGone:
        # Nobody reads it; aiohttp wants a response.
        gone = web.Response(status=499)
        gone.force_close()
        return gone
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = plain_error(
            error.status, f"{request.path}: {error.reason}", error.reason.lower().replace(" ", "_")
        )
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 - of one request: the others go on
        _log.exception("frontrunner.request_failed", path=request.path)
        return plain_error(500, "an internal error; it is in the server's log", "internal_error")


def _leave_compressed_rest(request: web.Request) -> None:
    """Have the connection closed behind the response instead of reading on, where aiohttp would
    uncompress all that is left of a refused body at once. ``http_server.Runner`` never does."""
    if not request.content.is_eof() and is_uncompressed(request):
        request.protocol._lingering_time = 0.0  # pyright: ignore[reportPrivateUsage]


async def _name_request(request: web.Request, response: web.StreamResponse) -> None:
    """Give back the name that the client has for its request, or that it was given."""
    response.headers[_REQUEST_ID] = request.get(_NAME) or _name_of(request)


def _name_of(request: web.Request) -> str:
    asked = request.headers.get(_REQUEST_ID, "")
    return asked if _ID.fullmatch(asked) else f"req_{token_hex(12)}"


async def _runtime_life(app: web.Application) -> AsyncIterator[None]:
    async with app[RUNTIME]:
        yield


async def _runs_life(app: web.Application) -> AsyncIterator[None]:
    # The one task that is not a child of another: aiohttp gives an application no task to live in,
    # only calls at its start and end. It is awaited here, and is the parent of all races.
    runs, started = app[RUNS], asyncio.Event()
    serve = runs.serve(started.set, app[WATCHING].tasks)
    task = asyncio.create_task(serve, name="frontrunner races")
    await started.wait()
    with app[WATCHING].watch():
        yield
    runs.close()
    await task


async def _drain(app: web.Application) -> None:
    await app[RUNS].drain(app[SETTINGS].drain_limit)
