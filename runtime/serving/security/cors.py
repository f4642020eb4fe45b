"""Browsers: which pages may use the server.

A browser says in ``Origin`` which page a request comes from. Pages of the server itself always may;
those of other origins only if they are on the list, and then they also get the CORS headers that
let them read the responses. Clients that are no browsers send no ``Origin`` and are not concerned.

CORS alone would not do: it does not apply to websockets, and a form can post across origins without
asking first.
"""

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from ..errors import Forbidden, error_response
from .api_keys import is_loopback

_METHODS = "GET, POST, DELETE, OPTIONS"
#: What a page may read of a response beside the body.
_EXPOSED = "Retry-After, X-Request-Id, X-Should-Retry"
#: Seconds for which a browser remembers a preflight's outcome.
_PREFLIGHT_AGE = 600
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_REFUSED = (
    "pages of this origin may not use the server: its operator lists those that may in "
    "server.origins"
)
_READING = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)


class Origins:
    """The origins whose pages may use the server."""

    def __init__(self, allowed: Iterable[str] = (), *, loopback_only: bool = False) -> None:
        """
        Args:
            allowed: origins such as ``https://example.org:8443``; ``*``: all.
            loopback_only: the server listens to this machine alone and has no keys. Then a page is
                the server's own only under a name of this machine: a foreign page can make its own
                name lead here (DNS rebinding).

        Raises:
            ValueError: an origin is not one.
        """
        self._loopback_only = loopback_only
        self._all = False
        self._allowed: set[tuple[str, str, int | None]] = set()
        for origin in allowed:
            if origin == "*":
                self._all = True
                continue
            parsed = _parsed(origin)
            if parsed is None:
                raise ValueError(
                    f"{origin!r} is not an origin: scheme://host or scheme://host:port"
                )
            self._allowed.add(parsed)

    def lists(self, origin: str) -> bool:
        """Whether pages of ``origin`` were let in."""
        parsed = _parsed(origin)
        return self._all or (parsed is not None and parsed in self._allowed)

    def is_own(self, origin: str, host: str | None) -> bool:
        """Whether ``origin`` is the server itself, as the client reached it (its ``Host``).

        The scheme may differ: a proxy in front may speak TLS.
        """
        page = _parsed(origin)
        if page is None or not host:
            return False
        here = _parsed(f"{page[0]}://{host}")
        if here is None or page[1:] != here[1:]:
            return False
        return not self._loopback_only or is_loopback(page[1])


def origin_middleware(origins: Origins) -> Middleware:
    """Answers preflights, and turns away what pages of foreign origins send.

    It stands before the keys: a preflight carries none. Add ``cors_headers(origins)`` to
    ``app.on_response_prepare`` with it.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return await handler(request)
        preflight = (
            request.method == hdrs.METH_OPTIONS
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        )
        listed = origins.lists(origin)
        if preflight and listed:
            return _preflight(request)
        upgrade = hdrs.UPGRADE in request.headers
        harmless = request.method in _READING and not upgrade and not preflight
        # A browser lets no foreign page read what it gets without the CORS headers.
        if harmless or listed or origins.is_own(origin, request.headers.get(hdrs.HOST)):
            return await handler(request)
        return error_response(Forbidden(_REFUSED))

    return check


def cors_headers(
    origins: Origins,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """A handler for ``app.on_response_prepare``: lets pages of listed origins read responses,
    also those that stream."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origins.lists(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)

    return add


def _preflight(request: web.Request) -> web.Response:
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(_PREFLIGHT_AGE),
        hdrs.VARY: "Access-Control-Request-Headers",
    }
    if asked:
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
    return web.Response(status=204, headers=headers)


def _parsed(origin: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of an origin, alike for all its spellings; None: it is not one."""
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not parts.scheme or not host or parts.username is not None:
        return None
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return None
    return parts.scheme, host, port or _DEFAULT_PORTS.get(parts.scheme)
