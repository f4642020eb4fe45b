"""What clients are told when something is wrong, in OpenAI's form.

A deadline is no error: it brings the best answer there is, never a 408 or 504.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, Final

from aiohttp import web

from ..common.json_bytes import json_bytes
from ..errors import (
    BadRequest,
    EngineError,
    EngineRestarting,
    FrontrunnerError,
    Overloaded,
    PromptTooLong,
)
from .reply_bodies import Error, ErrorObject

#: How a body may be compressed, as the header says it.
ENCODINGS = "gzip, deflate"
#: Options of a race that stand in the ``frontrunner`` object and nowhere else.
_OPTIONS: Final = ("answers", "branches", "min_branches", "parameters", "strategy")
#: Characters of a message, and of a field's name, that are told: both may quote the request.
_TOLD, _NAMED = 1_000, 200


class EventsExpired(FrontrunnerError):
    """What a reader asks for next is not kept any more."""

    def __init__(self, wanted: int, first: int) -> None:
        self.wanted, self.first = wanted, first
        super().__init__(
            f"message {wanted} is not kept any more: the oldest one is {first}. Reading was too "
            "slow, or came back too late"
        )


class BadParameter(BadRequest):
    """A field of the request cannot be understood; ``param`` is its path."""


class UnknownModel(FrontrunnerError):
    """The model asked for is not served."""

    def __init__(self, asked: str, served: str) -> None:
        self.param = "model"
        super().__init__(f"the model {asked!r} does not exist; {served!r} does")


class NotFound(FrontrunnerError):
    """There is nothing of this name, or not any more."""


class BadKey(FrontrunnerError):
    """The API key is missing or unknown; which of the two is not said."""

    def __init__(self) -> None:
        super().__init__(
            "a valid API key is needed: send one, as Authorization: Bearer <key>, or from a "
            "browser's websocket as the subprotocol openai-insecure-api-key.<key>"
        )


class Forbidden(FrontrunnerError):
    """The caller may not do this."""


class TooLarge(FrontrunnerError):
    """The body or message is larger than allowed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request is larger than {limit:,} bytes")


class UnsupportedEncoding(FrontrunnerError):
    """The body is compressed in a way that is not read here."""

    param = "Content-Encoding"

    def __init__(self, asked: str) -> None:
        super().__init__(
            f"a body compressed as {asked[:40]!r} is not read here: use {ENCODINGS}, or none"
        )


class TooManyRaces(FrontrunnerError):
    """The key has as many races running as it may."""

    def __init__(self, limit: int, retry_after: float = 1.0) -> None:
        self.retry_after = retry_after
        what = "race" if limit == 1 else "races"
        super().__init__(f"this key may run {limit} {what} at once, and does")


class Draining(FrontrunnerError):
    """The server is about to end and takes no new races."""

    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__("the server is about to end: try again, at another one if there is one")


class RaceLost(EngineError):
    """The engine lost every branch, and there is nothing to answer with."""

    def __init__(self, why: str | None) -> None:
        super().__init__(f"the engine lost every branch{f': {why}' if why else ''}")


class RunCancelled(FrontrunnerError):
    """The run was told to end before it had a result."""

    def __init__(self) -> None:
        super().__init__("cancelled")


#: By class: HTTP status, ``type`` and ``code``; the first that fits.
_KINDS: tuple[tuple[type[FrontrunnerError], int, str, str], ...] = (
    (PromptTooLong, 400, "invalid_request_error", "context_length_exceeded"),
    (BadRequest, 400, "invalid_request_error", "invalid_request"),
    (BadKey, 401, "authentication_error", "invalid_api_key"),
    (Forbidden, 403, "permission_error", "forbidden"),
    (UnknownModel, 404, "invalid_request_error", "model_not_found"),
    (NotFound, 404, "invalid_request_error", "not_found"),
    (TooLarge, 413, "invalid_request_error", "request_too_large"),
    (UnsupportedEncoding, 415, "invalid_request_error", "unsupported_encoding"),
    (TooManyRaces, 429, "rate_limit_error", "too_many_races"),
    (EventsExpired, 410, "invalid_request_error", "events_expired"),
    (RunCancelled, 503, "server_error", "cancelled"),
    (EngineRestarting, 503, "server_error", "engine_restarting"),
    (EngineError, 503, "server_error", "engine_error"),
    (Overloaded, 503, "server_error", "unavailable"),
    # What is left says that the server cannot do it now: it is about to end, say.
    (FrontrunnerError, 503, "server_error", "unavailable"),
)


def status_of(error: FrontrunnerError) -> int:
    """The HTTP status."""
    return _kind(error)[0]


def error_object(error: FrontrunnerError) -> ErrorObject:
    """``{message, type, param, code}``, as in an error's body or event."""
    _, kind, code = _kind(error)
    param: str | None = getattr(error, "param", None)
    if param is not None and param.partition(".")[0] in _OPTIONS:
        param = f"frontrunner.{param}"  # where a request says what the runtime calls so
    return {
        "message": _cut(str(error), _TOLD),
        "type": kind,
        "param": param if param is None else _cut(param, _NAMED),
        "code": code,
    }


def error_response(error: FrontrunnerError) -> web.Response:
    """The response that says so."""
    headers = dict(_retry_headers(error))
    if isinstance(error, BadKey):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, UnsupportedEncoding):
        headers["Accept-Encoding"] = ENCODINGS
    body: Error = {"error": error_object(error)}
    return json_response(body, status=status_of(error), headers=headers)


def plain_error(status: int, message: str, code: str) -> web.Response:
    """An error that is none of ours: a path that does not exist, a fault."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    body: Error = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return json_response(body, status=status)


def json_response(
    data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """``data`` as JSON."""
    return web.Response(
        body=json_bytes(data), status=status, headers=headers, content_type="application/json"
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _kind(error: FrontrunnerError) -> tuple[int, str, str]:
    return next((status, kind, code) for of, status, kind, code in _KINDS if isinstance(error, of))


def _retry_headers(error: FrontrunnerError) -> Mapping[str, str]:
    """When to come back. OpenAI's clients obey ``x-should-retry``."""
    after: float | None = getattr(error, "retry_after", None)
    if after is None:
        return {}
    return {"Retry-After": str(max(1, ceil(after))), "x-should-retry": "true"}
