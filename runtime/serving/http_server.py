"""Connections that do not wait for ever for a request, and do not log what it says.

aiohttp bounds how long a connection may be idle, but not by itself how long a client may take over
the head of a request: one that sends a byte now and then holds a connection for the idle time and
more. A reverse proxy in front has a limit for that; without one this is it.
"""

import asyncio
from typing import Any

import structlog
from aiohttp import web

from ..errors import BadRequest
from .errors import error_object, json_response

_log = structlog.get_logger("frontrunner.serving")


#: Seconds for which the rest of a body is still read that was refused, so that the client, which is
#: sending, gets to see the response.
_LINGERING = 1.0


class Connection(web.RequestHandler):
    """A connection of which each head must arrive in ``header_timeout`` seconds.

    The time runs from where the connection is made, and after that from the first byte of each
    further head, so that a connection may be idle between requests for longer.
    """

    __slots__ = ("_head_timer", "_header_timeout")

    def __init__(self, manager: web.Server, header_timeout: float, **settings: Any) -> None:
        self._header_timeout = header_timeout
        self._head_timer: asyncio.TimerHandle | None = None
        super().__init__(manager, **settings)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_head():
            self._disarm()
        elif data and self._head_timer is None:
            self._arm()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        # aiohttp would log the broken head with a traceback: it may hold an API key, and anyone can
        # send as many as they like.
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        _log.info("frontrunner.malformed_request", remote=request.remote, status=status)
        error = error_object(BadRequest("the request is not valid HTTP"))
        response = json_response({"error": error}, status=status)
        response.force_close()
        return response

    def _awaits_head(self) -> bool:
        """Whether no request is being handled, and none is there to be."""
        return self._waiter is not None and not self._waiter.done()

    def _arm(self) -> None:
        self._head_timer = self._loop.call_later(self._header_timeout, self._expire)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _expire(self) -> None:
        self._head_timer = None
        if self._awaits_head():
            _log.info("frontrunner.request_head_too_slow", seconds=self._header_timeout)
            self.force_close()


class Server(web.Server):
    """aiohttp's server, of such connections."""

    def __init__(self, plain: web.Server, header_timeout: float, settings: dict[str, Any]) -> None:
        super().__init__(
            plain.request_handler,
            request_factory=plain.request_factory,
            handler_cancellation=plain.handler_cancellation,
        )
        self._header_timeout = header_timeout
        self._settings = settings

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._header_timeout, loop=self._loop, **self._settings)


class Runner(web.AppRunner):
    """Runs an application on such connections; use it as ``web.AppRunner``."""

    def __init__(
        self, app: web.Application, *, header_timeout: float, idle_timeout: float, **settings: Any
    ) -> None:
        """
        Args:
            header_timeout: seconds in which the head of a request must arrive.
            idle_timeout: seconds that a connection is kept between requests.
        """
        settings.setdefault("lingering_time", _LINGERING)
        # Else aiohttp would uncompress what a refused body still holds while it lingers.
        settings.setdefault("auto_decompress", False)
        super().__init__(app, keepalive_timeout=idle_timeout, **settings)
        self._header_timeout = header_timeout

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        return Server(plain, self._header_timeout, plain._kwargs)
