"""What one request may take: bytes, depth, time to arrive, and races beside it."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import anyio
import orjson
from aiohttp import web

from ..config import ServerSettings
from ..errors import BadRequest
from .errors import TooLarge, TooManyRaces


async def read_json(request: web.Request, settings: ServerSettings) -> Any:
    """The JSON of a request's body.

    Raises:
        TooLarge: over ``body_limit`` bytes, compressed or not.
        BadRequest: it took longer than ``header_timeout`` seconds (not 408: clients would send it
            again), is no JSON, or is nested deeper than ``json_depth``.
    """
    return parse_json(await read_body(request, settings), settings.json_depth)


async def read_body(request: web.Request, settings: ServerSettings) -> bytes:
    """A request's body; raises as ``read_json``.

    Not ``request.read()``: that has no deadline, and its limit is the outermost application's.
    """
    limit = settings.body_limit
    if (request.content_length or 0) > limit:
        raise TooLarge(limit)
    body = bytearray()
    with anyio.move_on_after(settings.header_timeout):
        try:
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > limit:
                    raise TooLarge(limit)
        except (web.RequestPayloadError, web.HTTPException) as error:
            raise BadRequest("the request's body cannot be read") from error
        return bytes(body)
    raise BadRequest(f"the request's body did not arrive within {settings.header_timeout:g} s")


def parse_json(data: bytes | str, depth: int) -> Any:
    """The value that ``data`` says, nested at most ``depth`` deep (``[]`` is 1).

    Raises:
        BadRequest: it is none, or nested deeper.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"not valid JSON: {error}") from None
    # Level by level, since a walk that recurses would itself be what deep nesting attacks.
    level = [value] if isinstance(value, (dict, list)) else []
    reached = 0
    while level:
        reached += 1
        if reached > depth:
            raise BadRequest(f"the JSON is nested deeper than {depth}")
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
    return value


class RaceLimit:
    """How many races a key may have running at once; None is who needs no key."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._running = Counter[str | None]()

    def running(self, name: str | None) -> int:
        """Races of a key that run now."""
        return self._running[name]

    def take(self, name: str | None) -> None:
        """Count a race of the key ``name``; ``give_back`` must follow when it has ended.

        Raises:
            TooManyRaces: it has as many as it may.
        """
        if self._limit is not None and self._running[name] >= self._limit:
            raise TooManyRaces(self._limit)
        self._running[name] += 1

    def give_back(self, name: str | None) -> None:
        """The race has ended."""
        self._running[name] -= 1
        if self._running[name] <= 0:
            del self._running[name]

    @contextmanager
    def held(self, name: str | None) -> Generator[None, None, None]:
        """``take`` for the time of a block; raises as it does."""
        self.take(name)
        try:
            yield
        finally:
            self.give_back(name)
