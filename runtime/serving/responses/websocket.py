"""``/v1/responses`` as a websocket: OpenAI's Responses API, many responses over one connection.

The client sends JSON objects:

``response.create``
    with the fields of ``POST /v1/responses``. Responses run beside one another. Those that name a
    ``stream_id`` are a lane: they come one after another, in the order in which they were asked
    for, each deadline counting from its turn; eight may wait on a connection.
    With ``generate: false`` (a warm-up) no race is run: a completed response without output comes
    at once, and a later one may go on from it. Any response of this connection can be gone on from,
    by ``previous_response_id``; with ``store: false`` on this connection only, while it lasts.
``response.cancel``
    ends a response: ``response_id``, or the one in progress on the lane ``stream_id``, or the only
    one on this connection. Its last event is ``response.incomplete``, its status ``cancelled``.
``response.resume``
    sends the events of ``response_id`` after the number ``starting_after`` (all, if it is left
    out), on any connection, for as long as they are kept; an ``error`` event with the code
    ``events_expired`` if they are not, or about ``starting_after`` if there is none and never will
    be. A response outlives its connection if it was asked for with
    ``frontrunner.on_disconnect: "continue"`` or ``background: true``.

It is sent the events of the response, each with ``sequence_number`` (from 0, without a gap, per
response), ``response_id``, and the ``stream_id`` that was asked with. What goes wrong is an
``error`` event, which ends nothing else.

Closed with 1001: the server is about to end; 1003: a message was binary; 1009: a message was too
large; 1013: the client did not take what was sent in time, and may come back.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import structlog
from aiohttp import WSCloseCode, WSMsgType, web
from anyio.abc import TaskGroup

from ...common.json_bytes import json_bytes
from ...errors import BadRequest, FrontrunnerError
from ..app_keys import SETTINGS
from ..errors import BadParameter, Draining, EventsExpired, json_response
from ..requests.slices import SLICES
from ..runs.frames import Frame
from ..runs.replay_buffer import LogReader
from ..runs.run import RUNS, Run
from ..security.api_keys import key_name
from .response_runs import (
    Memory,
    find_events,
    find_run,
    prepare_response,
    start_response,
    status_and_error,
)
from .socket_messages import Cancel, Create, Resume, SocketMessage, read_message
from .socket_sends import BoundedSocket, Gone, Sender, Stalled
from .store import ResponseStore

_log = structlog.get_logger("frontrunner.serving")

#: Responses of one connection that are in progress or wait for their turn.
MAX_RESPONSES = 64
#: Of these, that wait for their turn: each holds its whole request.
MAX_WAITING = 8
#: Messages at the end of a response that are sent without a pause.
_AT_ONCE = 12

#: What the requests of these may hold together, in messages of the largest size.
MAX_HELD = 4

#: Responses that a connection keeps for itself, and their bytes, about; the newest ones.
OWN_RESPONSES, OWN_BYTES = 64, 8 << 20

SOCKETS = web.AppKey("frontrunner.sockets", set["ResponseSocket"])


class TooManyResponses(BadRequest):
    """The connection has as many responses as it may."""

    status = 429
    code = "too_many_responses"

    def __init__(
        self, most: str = f"{MAX_RESPONSES} responses", where: str = "in progress or waiting"
    ) -> None:
        super().__init__(f"one connection may have {most} {where}, and has")


class NotActive(BadRequest):
    """There is nothing to cancel."""

    code = "response_cancel_not_active"


async def open_socket(request: web.Request) -> web.StreamResponse:
    """``GET /v1/responses``, to be upgraded."""
    app = request.app
    settings = app[SETTINGS]
    socket = BoundedSocket(
        limit=settings.writer_limit,
        heartbeat=settings.ping_period,
        max_msg_size=settings.message_limit,
        protocols=_PROTOCOLS,
    )
    if not socket.can_prepare(request):
        message = "this is a websocket: upgrade the connection, or POST a request"
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return json_response({"error": error}, status=426, headers={"Upgrade": "websocket"})
    if app[RUNS].draining:
        raise Draining
    writer = await socket.prepare(request)
    sender = Sender(socket, writer, settings.stall_limit)
    connection = ResponseSocket(request, socket, sender)
    app[SOCKETS].add(connection)
    try:
        await connection.serve()
    finally:
        app[SOCKETS].discard(connection)
    return socket


async def close_sockets(app: web.Application) -> None:
    """Close all connections with 1001: their responses have ended, or are to end."""
    for connection in list(app[SOCKETS]):
        connection.end(WSCloseCode.GOING_AWAY, "the server is about to end")


class ResponseSocket:
    """One connection."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, sender: Sender) -> None:
        self._app = request.app
        self._headers = request.headers
        self._owner = key_name(request)
        own = ResponseStore(size=OWN_BYTES, count=OWN_RESPONSES)
        self._memory = Memory(request.app, self._owner, own)
        self._socket, self._sender = socket, sender
        self._scope = anyio.CancelScope()
        self._closing: tuple[int, str] = (WSCloseCode.OK, "")
        self._lanes: dict[str, deque[Create]] = {}  # what waits, by lane, while one is in progress
        self._active = 0  # in progress or waiting
        self._waiting = 0  # of these, for their turn on their lane
        self._held = 0  # characters of the requests of these
        self._streams: dict[str, str | None] = {}  # lane of each response that is sent

    async def serve(self) -> None:
        """Serve it until it is closed."""
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    await self._read(tasks)
                    tasks.cancel_scope.cancel()
        except Exception:  # noqa: BLE001 - of one connection: the others and the server go on
            _log.exception("frontrunner.socket_failed")
            self._closing = (WSCloseCode.INTERNAL_ERROR, "an internal error")
        except BaseException:
            self._closing = (WSCloseCode.GOING_AWAY, "")
            raise
        finally:
            code, reason = self._closing
            with anyio.CancelScope(shield=True):
                await self._socket.close(code=code, message=reason.encode())

    def end(self, code: int, reason: str) -> None:
        """Close the connection; whatever it was told first is what it says."""
        if not self._scope.cancel_called:
            self._closing = (code, reason)
            self._scope.cancel()

    async def _read(self, tasks: TaskGroup) -> None:
        while True:
            received = await self._socket.receive()
            # What has arrived already is given without a pause; others have their turn before it.
            await anyio.lowlevel.checkpoint()
            match received.type:
                case WSMsgType.TEXT:
                    await self._take(received.data, tasks)
                case WSMsgType.BINARY:
                    self.end(WSCloseCode.UNSUPPORTED_DATA, "messages are text")
                case _:
                    return

    async def _take(self, data: str, tasks: TaskGroup) -> None:
        """Do what a message asks for. Nothing here waits for a race."""
        message: SocketMessage | None = None
        try:
            depth, slices = self._app[SETTINGS].json_depth, self._app[SLICES]
            message = await read_message(data, depth, slices)
            match message:
                case Create():
                    self._admit(message, tasks)
                case Cancel():
                    self._cancel(message)
                case Resume():
                    self._resume(message, tasks)
        except FrontrunnerError as error:
            await self._tell(error, message)

    # ── messages ──────────────────────────────────────────────────────────────────────────────

    def _admit(self, message: Create, tasks: TaskGroup) -> None:
        limit = MAX_HELD * self._app[SETTINGS].message_limit
        if self._held and self._held + message.size > limit:
            raise TooManyResponses(f"requests of {limit:,} characters")
        lane = message.stream_id
        waits = lane is not None and lane in self._lanes
        if waits and self._waiting >= MAX_WAITING:
            raise TooManyResponses(f"{MAX_WAITING} responses", "waiting for their turn")
        self._count()
        self._held += message.size
        if lane is None:
            tasks.start_soon(self._respond, message)
        elif waits:
            self._waiting += 1
            self._lanes[lane].append(message)
        else:
            self._lanes[lane] = deque([message])
            tasks.start_soon(self._follow, lane)

    async def _follow(self, lane: str) -> None:
        """The responses of a lane, one after another."""
        waiting = self._lanes[lane]
        await self._respond(waiting.popleft())
        while waiting:
            self._waiting -= 1
            await self._respond(waiting.popleft())
        del self._lanes[lane]

    async def _respond(self, message: Create) -> None:
        try:
            if message.body.only_prepares:
                await self._prepare(message)
                return
            run, _ = await start_response(self._app, message.body, self._headers, self._memory)
            await self._stream(run, -1, message.stream_id)
        except FrontrunnerError as error:
            await self._tell(error, message)
        finally:
            self._active -= 1
            self._held -= message.size

    async def _prepare(self, message: Create) -> None:
        response_id, _, frames = await prepare_response(self._app, message.body, self._memory)
        place = _opening(response_id, message.stream_id)
        for number, frame in enumerate(frames):
            await self._send(place + frame.encode(number)[1:])

    def _resume(self, message: Resume, tasks: TaskGroup) -> None:
        run = find_events(self._app, message.response_id, self._owner)
        if run.id in self._streams:
            raise BadParameter("this connection is already sent its events", "response_id")
        self._count()
        self._streams[run.id] = message.stream_id
        tasks.start_soon(self._repeat, run, message)

    async def _repeat(self, run: Run, message: Resume) -> None:
        try:
            after = message.starting_after
            if not await self._stream(run, after, message.stream_id):
                # Silence could as well be a response that thinks.
                raise BadParameter(f"the response ended before event {after + 1}", "starting_after")
        except FrontrunnerError as error:
            await self._tell(error, message)
        finally:
            self._active -= 1

    def _cancel(self, message: Cancel) -> None:
        if message.response_id is not None:
            run = find_run(self._app, message.response_id, self._owner)
            if run.done:
                raise NotActive(f"response {run.id} has ended already")
            run.cancel()
            return
        lane = message.stream_id
        here = [(key, run) for key in self._streams if (run := self._app[RUNS].get(key))]
        active = [
            run
            for key, run in here
            if not run.done and (lane is None or self._streams[key] == lane)
        ]
        if len(active) > 1:
            raise BadParameter("several responses are in progress: say which", "response_id")
        if not active:
            raise NotActive("no response is in progress here")
        active[0].cancel()

    def _count(self) -> None:
        if self._active >= MAX_RESPONSES:
            raise TooManyResponses
        self._active += 1

    # ── events ────────────────────────────────────────────────────────────────────────────────

    async def _stream(self, run: Run, after: int, lane: str | None) -> bool:
        """Send a response's events.

        Returns:
            Whether there was any.

        Raises:
            EventsExpired: the first of them is not kept any more.
        """
        place, found = _opening(run.id, lane), False
        self._streams[run.id] = lane
        try:
            with run.frames(after) as frames:
                try:
                    while batch := await frames.batch():
                        found = True
                        await self._send_all(place, batch, frames)
                    if not frames.waited:
                        run.delivered()
                except (Stalled, EventsExpired):
                    _log.info("frontrunner.stalled_reader", response=run.id)
                    self.end(WSCloseCode.TRY_AGAIN_LATER, "events were not taken in time")
                except Gone:
                    self.end(WSCloseCode.GOING_AWAY, "")
        finally:
            self._streams.pop(run.id, None)
        return found

    async def _send_all(
        self, place: bytes, batch: Sequence[tuple[int, Frame]], frames: LogReader
    ) -> None:
        """Send frames, and let others have their turn after each: a client that leaves is noticed,
        and one that takes them one by one is not flooded. Only the end comes in one piece, since
        with it the deadline is kept."""
        ending = batch[-1][0] - _AT_ONCE if batch[-1][1].terminal else batch[-1][0]
        for number, frame in batch:
            if not await self._sender.send(place + frame.encode(number)[1:]):
                frames.waited = True
            if number <= ending:
                await anyio.lowlevel.checkpoint()

    async def _tell(self, error: FrontrunnerError, message: SocketMessage | None) -> None:
        """Send an ``error`` event."""
        status, told = status_and_error(error)
        event: dict[str, Any] = {
            "type": "error",
            "status": status,
            "error": told,
            # As the event of this name has it on the other transport.
            "code": told["code"],
            "message": told["message"],
            "param": told["param"],
        }
        if message is not None and message.stream_id is not None:
            event["stream_id"] = message.stream_id
        if isinstance(message, Cancel | Resume) and message.response_id is not None:
            event["response_id"] = message.response_id
        await self._send(json_bytes(event))

    async def _send(self, message: bytes) -> None:
        """Send a message, or close the connection."""
        try:
            await self._sender.send(message)
        except Stalled:
            self.end(WSCloseCode.TRY_AGAIN_LATER, "events were not taken in time")
        except Gone:
            self.end(WSCloseCode.GOING_AWAY, "")


#: What a browser may name beside its key: it gives up if the server agrees to nothing.
_PROTOCOLS = ("frontrunner", "realtime", "openai-responses")


def _opening(response_id: str, lane: str | None) -> bytes:
    """What comes before the fields of each event of a response."""
    place: Mapping[str, str] = {"response_id": response_id}
    if lane is not None:
        place = {**place, "stream_id": lane}
    return json_bytes(place)[:-1] + b","
