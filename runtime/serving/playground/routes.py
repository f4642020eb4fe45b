"""``GET /``: a page on which to ask, and to watch the race.

The page is a client of the websocket like any other, and is open to all; what it asks for beyond
its own files needs a key wherever the rest does. It loads nothing from elsewhere, and its
Content-Security-Policy lets it run no script but its own files, and turn no text into HTML.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from aiohttp import ETag, web

from ..errors import json_response
from ..security.api_keys import public
from .form_schema import offer

_FILES: Final = Path(__file__).parent / "page"
_PAGE: Final = "index.html"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src data:",  # the icon, which stands in the page
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept, but asked about each time: a page and a script of different versions do not go together.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    """One file of the page."""

    content: bytes
    content_type: str
    tag: str

    @classmethod
    def read(cls, path: Path) -> "_File":
        content = path.read_bytes()
        return cls(content, _TYPES[path.suffix], sha256(content).hexdigest()[:32])


def add_routes(app: web.Application) -> None:
    """``GET /``, its files below ``/playground/``, and what it offers."""
    files = {
        path.relative_to(_FILES).as_posix(): _File.read(path)
        for path in _FILES.rglob("*")
        if path.suffix in _TYPES
    }
    app.router.add_get("/", _sends(files.pop(_PAGE)))
    for name, file in files.items():
        app.router.add_get(f"/playground/{name}", _sends(file))
    app.router.add_get("/playground/offer", send_offer)


async def send_offer(request: web.Request) -> web.Response:
    """What may be asked for, for the page's fields."""
    return json_response(offer(request.app), headers={"Cache-Control": "no-store"})


def _sends(file: _File) -> Callable[[web.Request], Awaitable[web.Response]]:
    @public
    async def send(request: web.Request) -> web.Response:
        known = any(tag.value in (file.tag, "*") for tag in request.if_none_match or ())
        response = web.Response(
            status=304 if known else 200,
            body=None if known else file.content,
            headers=_HEADERS,
            content_type=file.content_type,
            charset="utf-8",
        )
        response.etag = ETag(file.tag)
        return response

    return send
