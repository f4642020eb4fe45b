"""A run as a stream of server-sent events, for a client that may be slow, or gone."""

import asyncio
from collections.abc import Iterable, Mapping

import anyio
from aiohttp import web

from ...config import ServerSettings
from ..app_keys import SETTINGS
from ..errors import EventsExpired
from ..requests.request_options import read_timeout
from .frames import Frame
from .replay_buffer import LogReader
from .run import Run

#: How often a silent client is looked at for whether it has gone, in seconds.
POLL_INTERVAL = 0.1
#: Seconds by which timers fire early at most.
_TIMER_ERROR = 0.001

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would collect the events
}


async def stream_run(
    request: web.Request,
    run: Run,
    *,
    after: int = -1,
    ids: bool = False,
    done: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Send a run's frames until the terminal one.

    A client that goes away leaves the run to itself (see ``Run.holding``). One that makes no room
    for ``stall_limit`` seconds, or has fallen so far behind that the next frame is not kept any
    more, is cut off.

    Args:
        request: whose response it is.
        run: what is sent.
        after: the number of the last frame that the client has.
        ids: events carry their number, for clients that come back.
        done: what ends the stream, as an event's data.
        headers: of the response, beside those of an event stream.

    Raises:
        EventsExpired: before anything is sent, if the first frame is not kept any more.
    """
    with run.frames(after) as frames:
        response = await stream_frames(request, frames, ids=ids, done=done, headers=headers)
        if not frames.waited:
            run.delivered()
        return response


async def stream_frames(
    request: web.Request,
    frames: LogReader,
    *,
    ids: bool = False,
    done: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Send what a reader has to its end; see ``stream_run``."""
    settings = request.app[SETTINGS]
    response = web.StreamResponse(headers={**_HEADERS, **(headers or {})})
    try:
        await response.prepare(request)
        if request.transport is not None:
            # What waits here is not joined any more.
            request.transport.set_write_buffer_limits(high=settings.writer_limit)
        silence = _Silence(response, settings, read_timeout(request.headers), ids=ids)
        with _Looking(frames, silence):
            while (batch := await _next(request, silence, frames)) is not None:
                piece = b"".join([_event(frame, number, ids) for number, frame in batch])
                if not batch or batch[-1][1].terminal:
                    await _write_end(request, response, piece + _done(done), settings)
                    return response
                if not await _write(request, response, piece, settings):
                    frames.waited = True
    except (ConnectionError, TimeoutError, EventsExpired):
        pass
    frames.waited = True
    cut_off(request)
    return response


def _done(said: bytes) -> bytes:
    return b"data: " + said + b"\n\n" if said else b""


async def _write(
    request: web.Request, response: web.StreamResponse, piece: bytes, settings: ServerSettings
) -> bool:
    """Write a piece; whether there was room for it.

    Raises:
        TimeoutError: the client makes no room for it.
    """
    if _has_room(request, piece, settings):
        await response.write(piece)  # there is room: it does not wait
        return True
    with anyio.fail_after(settings.stall_limit):
        await response.write(piece)
    return False


async def _write_end(
    request: web.Request, response: web.StreamResponse, piece: bytes, settings: ServerSettings
) -> None:
    """
    Raises:
        TimeoutError: as ``_write``.
    """
    if _has_room(request, piece, settings):
        await response.write_eof(piece)  # likewise
        return
    with anyio.fail_after(settings.stall_limit):
        await response.write_eof(piece)


def _has_room(request: web.Request, piece: bytes, settings: ServerSettings) -> bool:
    """Whether the connection takes a piece at once."""
    transport = request.transport
    if transport is None:
        return False
    return transport.get_write_buffer_size() + len(piece) < settings.writer_limit


def streamed(frames: Iterable[Frame]) -> web.Response:
    """A stream all of whose events are known already; they carry their numbers."""
    body = b"".join(_event(frame, number, True) for number, frame in enumerate(frames))
    return web.Response(body=body, headers=_HEADERS)


def cut_off(request: web.Request) -> None:
    """Drop the connection, with what waits to be sent."""
    if request.transport is not None:
        request.transport.abort()


class _Silence:
    """Says now and then that a stream is still there."""

    def __init__(
        self,
        response: web.StreamResponse,
        settings: ServerSettings,
        patience: float | None,
        *,
        ids: bool,
    ) -> None:
        """
        Args:
            response: the stream.
            settings: how often, and for how long a client may take nothing.
            patience: seconds of silence after which the client gives up; None: not known.
            ids: whether its events carry numbers.
        """
        self._response, self._limit = response, settings.stall_limit
        self.interval = settings.keep_alive
        if patience is not None:
            # Twice as often, since the network may be late as well.
            self.interval = min(self.interval, patience / 2)
        self.due = asyncio.get_running_loop().time() + self.interval
        # OpenAI's decoder never clears an id: a comment with an empty line behind it becomes an
        # event without data there, which it cannot read. Where there are no ids clients have been
        # seen (vLLM's benchmark) that read from one empty line to the next.
        self._comment = b": keep-alive\n" if ids else b": keep-alive\n\n"

    def broken(self) -> None:
        """Something was sent."""
        self.due = asyncio.get_running_loop().time() + self.interval

    def is_due(self) -> bool:
        """Whether it has been silent for too long. A timer may fire a moment early."""
        return asyncio.get_running_loop().time() >= self.due - _TIMER_ERROR

    async def tell(self) -> None:
        """
        Raises:
            TimeoutError: the client makes no room for it.
        """
        with anyio.fail_after(self._limit):
            await self._response.write(self._comment)


async def _next(
    request: web.Request, silence: _Silence, frames: LogReader
) -> list[tuple[int, Frame]] | None:
    """The frames to send now, none at the end; None: the client has gone."""
    silence.broken()
    while request.transport is not None:
        if (batch := frames.ready()) is not None:
            return batch
        if silence.is_due():
            await silence.tell()
            silence.broken()
        else:
            await frames.changed()
    return None


class _Looking:
    """Wakes whoever waits for ``frames`` every ``POLL_INTERVAL`` seconds, and when there was
    silence for too long, for the time of a block. One timer, since most waits are much shorter."""

    def __init__(self, frames: LogReader, silence: _Silence) -> None:
        self._frames, self._silence = frames, silence
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        self._timer = self._arm()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _arm(self) -> asyncio.TimerHandle:
        return self._loop.call_at(
            min(self._loop.time() + POLL_INTERVAL, self._silence.due), self._look
        )

    def _look(self) -> None:
        self._frames.nudge()
        # A moment that has passed is on its way to be told.
        told = self._silence.is_due()
        self._timer = self._loop.call_later(POLL_INTERVAL, self._look) if told else self._arm()


def _event(frame: Frame, number: int, ids: bool) -> bytes:
    name = f"event: {frame.event}\n".encode() if frame.event is not None else b""
    place = f"id: {number}\n".encode() if ids else b""
    return b"".join((name, place, b"data: ", frame.encode(number), b"\n\n"))
