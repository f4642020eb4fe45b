"""Which requests to vLLM's own routes are raced: those that carry a deadline.

It stands inside all of vLLM's middleware, right before the routes, so that keys, CORS, request ids
and metrics hold for races as they do for the rest. What is not raced goes on as it came: the very
messages that the ASGI server gave, in the same pieces.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from ..asgi_adapter.relay import AsgiMessage, Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: The header that asks for a race. ``X-Request-Timeout-Ms`` does not: others send it, too.
_HEADER: Final = b"x-frontrunner-deadline"
#: The key of a body that asks for a race.
_KEY: Final = "frontrunner"
_QUOTED: Final = b'"frontrunner"'
_RACED: Final = frozenset(("/v1/chat/completions", "/v1/completions", "/v1/responses"))
_RESPONSES: Final = "/v1/responses"
#: Ids of our responses have 24 digits (``runs.PREFIX`` and a race's id); vLLM's have 16.
_OUR_RESPONSE: Final = re.compile(r"/v1/responses/resp_[0-9a-f]{24}(?:/cancel)?")


class DeadlineSwitch:
    """An ASGI middleware: to ``raced`` what carries a deadline, to ``app`` all else."""

    def __init__(self, app: App, raced: App) -> None:
        self._app, self._raced = app, raced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        if path is None or not path.startswith("/v1/"):
            await self._app(scope, receive, send)
        elif path in _RACED and scope.get("method") == "POST":
            await self._choose(scope, receive, send)
        elif _is_ours(scope, path):
            await self._raced(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _choose(self, scope: Scope, receive: Receive, send: Send) -> None:
        if any(name == _HEADER for name, _ in scope["headers"]):
            await self._raced(scope, receive, send)
            return
        taken = [await receive()]
        while taken[-1].get("more_body"):
            taken.append(await receive())
        app = self._raced if asks_for_race(taken) else self._app
        await app(scope, _Again(taken, receive), send)


class _Again:
    """A ``receive`` that first gives what was taken already."""

    def __init__(self, taken: list[AsgiMessage], receive: Receive) -> None:
        self._taken, self._receive = taken[::-1], receive

    async def __call__(self) -> AsgiMessage:
        return self._taken.pop() if self._taken else await self._receive()


def asks_for_race(messages: list[AsgiMessage]) -> bool:
    """Whether the body of a request has a ``frontrunner`` object. A body that cannot be read has
    none: it is vLLM's to refuse."""
    pieces: list[bytes] = [message.get("body", b"") for message in messages]
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if _QUOTED not in body:
        return False
    try:
        said: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(said, dict) and said.get(_KEY) is not None


def _is_ours(scope: Scope, path: str) -> bool:
    """Whether vLLM has nothing of the kind: the websocket, and responses of ours."""
    if scope["type"] == "websocket":
        return path == _RESPONSES
    return _OUR_RESPONSE.fullmatch(path) is not None


def _path(scope: Scope) -> str | None:
    """The path below the place where vLLM is served (``--root-path``); None: none is asked for."""
    if scope["type"] not in ("http", "websocket"):
        return None
    path: str = scope["path"]
    root: str = (scope.get("root_path") or "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
