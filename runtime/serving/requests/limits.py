"""What one request may take: bytes, depth, time to arrive, and races beside it."""

import zlib
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import anyio
import anyio.lowlevel
import orjson
from aiohttp import hdrs, web

from ...config import ServerSettings
from ...errors import BadRequest
from ..errors import BadParameter, TooLarge, TooManyRaces, UnsupportedEncoding
from .bounds import MAX_ITEMS, check_fields, check_shape, check_size
from .slices import Slices

#: Bytes that are uncompressed before others have their turn.
_SLICE: Final = 64 << 10


async def read_body(request: web.Request, settings: ServerSettings) -> bytes:
    """A request's body, uncompressed.

    Not ``request.read()``: that has no deadline, and its limit is the outermost application's.

    Raises:
        TooLarge: over ``body_limit`` bytes, compressed or not.
        UnsupportedEncoding: it is compressed in a way that is not read here.
        BadRequest: it took longer than ``header_timeout`` seconds (not 408: clients would send it
            again), or ends before its end.
    """
    limit = settings.body_limit
    if (request.content_length or 0) > limit:
        raise TooLarge(limit)
    plain = _decoder(request)
    body = bytearray()
    # Mostly it is there already, and nothing below waits.
    waiting = not request.content.is_eof()
    with anyio.move_on_after(settings.header_timeout) if waiting else nullcontext():
        try:
            while chunk := await request.content.readany():
                for piece in plain(chunk):
                    body += piece
                    if len(body) > limit:
                        raise TooLarge(limit)
                    if piece is not chunk:
                        await anyio.lowlevel.checkpoint()  # uncompressing it took some time
        except (web.RequestPayloadError, web.HTTPException) as error:
            raise BadRequest("the request's body cannot be read") from error
        if isinstance(plain, Inflating):
            plain.check_end()
        return bytes(body)
    raise BadRequest(f"the request's body did not arrive within {settings.header_timeout:g} s")


async def parse_request(data: bytes | str, depth: int, slices: Slices) -> Any:
    """The value of a request's body or a message. A large one is read in slices.

    Raises:
        BadRequest: it is no JSON, is nested deeper than ``depth``, or holds more than ``bounds``
            allow (``BadParameter`` names it).
    """
    encoded = _encoded(data)
    await slices.through(check_size(encoded), len(data))
    async with slices.turn_for(len(data)):
        value = _loaded(encoded)
    await slices.through(check_shape(value, depth), len(data))
    check_fields(value)
    return value


def parse_json(data: bytes | str, depth: int, param: str | None = None) -> Any:
    """The value that ``data`` says, nested at most ``depth`` deep (``[]`` is 1).

    Args:
        data: JSON.
        depth: see above.
        param: the field of the request in which it stands as text, such as the arguments of a call.

    Raises:
        BadRequest: it is none, is nested deeper, or holds too much (see ``bounds``).
    """
    encoded = _encoded(data)
    # Most texts, such as the arguments of a call, are too short to hold too much of anything.
    short = len(encoded) <= MAX_ITEMS
    if not short:
        deque(check_size(encoded, param), maxlen=0)
    value = _loaded(encoded, param)
    if not short or encoded.count(b"{") + encoded.count(b"[") > depth:
        deque(check_shape(value, depth, param), maxlen=0)
    return value


def _encoded(data: bytes | str) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data


def _loaded(data: bytes, param: str | None = None) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        place = f"{param}: " if param else ""
        raise BadParameter(f"{place}not valid JSON: {error}", param) from None


# ── compressed bodies ─────────────────────────────────────────────────────────────────────────


class Inflating:
    """Uncompresses ``gzip`` and ``deflate`` a slice at a time: a megabyte can hold a gigabyte."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._inflater: Any = None  # typeshed has no name for it

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        """The slices that ``chunk`` holds, each uncompressed when it is asked for.

        Raises:
            BadRequest: it is not what it says.
        """
        if self._inflater is None:
            self._inflater = zlib.decompressobj(wbits=_window(self._encoding, chunk[0]))
        try:
            while chunk and not self._inflater.eof:
                yield self._inflater.decompress(chunk, _SLICE)
                chunk = self._inflater.unconsumed_tail
        except zlib.error as error:
            raise BadRequest(f"the request's body is not {self._encoding}: {error}") from None
        if self._inflater.unused_data or (chunk and self._inflater.eof):
            # Each further member would cost a new decompressor, however small it is.
            raise BadRequest(f"the request's body goes on behind the end of its {self._encoding}")

    def check_end(self) -> None:
        """
        Raises:
            BadRequest: it is not all there.
        """
        if self._inflater is not None and not self._inflater.eof:
            raise BadRequest(f"the request's body is not all of its {self._encoding}")


def _as_it_is(chunk: bytes) -> Iterator[bytes]:
    yield chunk


def _decoder(request: web.Request) -> Callable[[bytes], Iterator[bytes]]:
    """What makes a body's bytes of those that arrive.

    aiohttp uncompresses bodies itself where it is told to, as it is by default, in slices as well;
    ``http_server.Runner`` tells it not to, since it would go on for one that is refused.

    Raises:
        UnsupportedEncoding: it cannot be read here.
    """
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if encoding in ("", "identity") or is_uncompressed(request):
        return _as_it_is
    if encoding in ("gzip", "x-gzip", "deflate"):
        return Inflating(encoding)
    raise UnsupportedEncoding(encoding)


def is_uncompressed(request: web.Request) -> bool:
    """Whether aiohttp uncompresses the body of a request while it is read."""
    return getattr(request.content, "total_compressed_bytes", None) is not None


def _window(encoding: str, first: int) -> int:
    """What zlib calls the format; ``deflate`` comes with zlib's header and without."""
    if encoding != "deflate":
        return 16 + zlib.MAX_WBITS
    return zlib.MAX_WBITS if first & 0xF == 8 else -zlib.MAX_WBITS


# ── races ─────────────────────────────────────────────────────────────────────────────────────


class RaceLimit:
    """How many races a key may have running at once; None is who needs no key."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._running = Counter[str | None]()

    def running(self, name: str | None) -> int:
        """Races of a key that run now."""
        return self._running[name]

    def take(self, name: str | None) -> None:
        """Count a race of the key ``name``; ``release`` must follow when it has ended.

        Raises:
            TooManyRaces: it has as many as it may.
        """
        if self._limit is not None and self._running[name] >= self._limit:
            raise TooManyRaces(self._limit)
        self._running[name] += 1

    def release(self, name: str | None) -> None:
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
            self.release(name)
