"""Connections that do not wait for ever for a request, and do not log what it says.

aiohttp bounds how long a connection may be idle, but not by itself how long a client may take over
the head of a request: one that sends a byte now and then holds a connection for the idle time and
more. A reverse proxy in front has a limit for that; without one this is it. Nor does it bound how
many there are: those that the process has no file descriptors for would lock everyone out, and each
try to take one would be logged.
"""

import asyncio
from collections import OrderedDict
from itertools import islice
from typing import Any, Final

import structlog
from aiohttp import web

from ..errors import BadRequest
from .errors import error_object, json_response

_log = structlog.get_logger("frontrunner.serving")


#: Seconds for which the rest of a body is still read that was refused, so that the client, which is
#: sending, gets to see the response.
_LINGERING = 1.0


#: Seconds between two lines of the log that tell of too many connections.
_TOLD_EVERY: Final = 10.0
#: Of the connections that have asked for nothing for longest, how many are looked at for one that
#: has no request.
_LOOKED_AT: Final = 64
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def usual_connections() -> int:
    """How many connections this process can hold, by its limit of file descriptors."""
    try:
        import resource
    except ImportError:  # there is no such limit
        return 1 << 16
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    return max(16, soft - max(64, soft // 8))


class Connection(web.RequestHandler):
    """A connection of which each head must arrive in ``header_timeout`` seconds.

    The time runs from where the connection is made, and after that from the first byte of each
    further head, so that a connection may be idle between requests for longer.
    """

    __slots__ = ("_head_timer", "_header_timeout", "_places", "_refused")

    def __init__(
        self, manager: web.Server, header_timeout: float, places: "ConnectionSlots", **settings: Any
    ) -> None:
        self._header_timeout = header_timeout
        self._places = places
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = None
        super().__init__(manager, **settings)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._places.take(self):
            self._refused = True
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(_FULL)
            transport.close()
            return
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._head_timer is None:
            self._places.used(self)
        super().data_received(data)
        if not self._awaits_head():
            self._disarm()
        elif data and self._head_timer is None:
            self._arm()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        if not self._refused:
            self._places.leave(self)
            super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether it has no request."""
        return self._awaits_head()

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


class ConnectionSlots:
    """The connections of one server, at most so many."""

    def __init__(self, most: int | None) -> None:
        """
        Args:
            most: how many there may be; None: any number.
        """
        self._most = most
        # The one that has asked for nothing for longest comes first.
        self._held: OrderedDict[Connection, None] = OrderedDict()
        self._untold, self._told_at = 0, 0.0

    def take(self, connection: Connection) -> bool:
        """Whether there is a place for one more; if need be, that of one without a request, which
        is closed."""
        if self._most is not None and len(self._held) >= self._most:
            self._tell()
            idle = next((c for c in islice(self._held, _LOOKED_AT) if c.idle), None)
            if idle is None:
                return False
            del self._held[idle]
            idle.force_close()
        self._held[connection] = None
        return True

    def used(self, connection: Connection) -> None:
        """A request comes in on it."""
        if connection in self._held:
            self._held.move_to_end(connection)

    def leave(self, connection: Connection) -> None:
        """It is closed."""
        self._held.pop(connection, None)

    def _tell(self) -> None:
        self._untold += 1
        now = asyncio.get_running_loop().time()
        if now >= self._told_at + _TOLD_EVERY or not self._told_at:
            _log.warning("frontrunner.too_many_connections", most=self._most, over=self._untold)
            self._untold, self._told_at = 0, now


class Server(web.Server):
    """aiohttp's server, of such connections."""

    def __init__(
        self,
        plain: web.Server,
        header_timeout: float,
        places: ConnectionSlots,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(
            plain.request_handler,
            request_factory=plain.request_factory,
            handler_cancellation=plain.handler_cancellation,
        )
        self._header_timeout, self._places = header_timeout, places
        self._settings = settings

    def __call__(self) -> web.RequestHandler:
        return Connection(
            self, self._header_timeout, self._places, loop=self._loop, **self._settings
        )


class Runner(web.AppRunner):
    """Runs an application on such connections; use it as ``web.AppRunner``."""

    def __init__(
        self,
        app: web.Application,
        *,
        header_timeout: float,
        idle_timeout: float,
        max_connections: int | None = None,
        **settings: Any,
    ) -> None:
        """
        Args:
            header_timeout: seconds in which the head of a request must arrive.
            idle_timeout: seconds that a connection is kept between requests.
            max_connections: that are open at once; None: any number.
        """
        settings.setdefault("lingering_time", _LINGERING)
        # Else aiohttp would uncompress what a refused body still holds while it lingers.
        settings.setdefault("auto_decompress", False)
        super().__init__(app, keepalive_timeout=idle_timeout, **settings)
        self._header_timeout = header_timeout
        self._places = ConnectionSlots(max_connections)

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        return Server(plain, self._header_timeout, self._places, plain._kwargs)
