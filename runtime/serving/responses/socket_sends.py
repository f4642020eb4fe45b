"""Sending on a websocket to clients that may not read."""

import asyncio
import socket
import struct
from typing import Any

import anyio
from aiohttp import WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

#: Bytes that the kernel may hold for it. Left alone it takes megabytes before a client that has
#: stopped reading is noticed.
KERNEL_LIMIT = 128 << 10
#: Bytes of a frame before its message at most.
_FRAME_HEAD = 14
#: Seconds that the closing handshake may take.
CLOSE_LIMIT = 1.0


class Stalled(Exception):
    """The client takes nothing."""


class Gone(Exception):
    """The connection is closed."""


class BoundedSocket(web.WebSocketResponse):
    """A websocket of bounded buffers, which a client that does not read cannot keep open."""

    def __init__(self, *, limit: int, **settings: Any) -> None:
        """
        Args:
            limit: bytes that wait in the process until a client takes them, beside one message.
            settings: see ``WebSocketResponse``.
        """
        super().__init__(writer_limit=limit, compress=False, timeout=CLOSE_LIMIT, **settings)
        self._limit = limit

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Upgrade the connection."""
        transport = request.transport
        raw = transport.get_extra_info("socket") if transport is not None else None
        if transport is not None:
            # What waits here is not joined any more.
            transport.set_write_buffer_limits(high=self._limit)
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_LIMIT)
        return await super().prepare(request)

    @property
    def room(self) -> int:
        """Bytes that can be written without waiting; none if the connection has gone."""
        transport = self._req.transport if self._req is not None else None
        return 0 if transport is None else self._limit - transport.get_write_buffer_size()

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Close it, within ``CLOSE_LIMIT`` seconds; what the client has not taken by then is
        lost."""
        closed = False
        transport = self._req.transport if self._req is not None else None
        try:
            with anyio.move_on_after(CLOSE_LIMIT):
                # Not drained: that would wait for the future that a send given up has cancelled.
                closed = await super().close(code=code, message=message, drain=False)
        finally:
            if transport is not None and transport.get_write_buffer_size():
                _reset(transport)
        return closed


def _reset(transport: asyncio.Transport) -> None:
    """Drop the connection and all that waits for it. Closed as usual the kernel would go on for
    minutes to offer its part to a client that does not read."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Sender:
    """Sends messages, one at a time."""

    def __init__(self, socket: BoundedSocket, writer: AbstractStreamWriter, limit: float) -> None:
        """
        Args:
            socket: on which.
            writer: what ``prepare`` gave.
            limit: seconds that the client may take to make room for the next message.
        """
        self._socket, self._writer, self._limit = socket, writer, limit
        self._turn = anyio.Lock()

    async def send(self, message: bytes) -> bool:
        """Send a text message, and wait until there is room for another one; whether there was
        room at once.

        Raises:
            Stalled: there was none in time. Nothing more can be sent.
            Gone: the connection is closed.

        Cancelling it leaves a message either sent or not; nothing more can be sent then.
        """
        if self._has_room(len(message)):
            try:
                await self._socket.send_frame(message, WSMsgType.TEXT)  # it does not wait
            except ConnectionError as error:
                raise Gone from error
            return True
        async with self._turn:
            try:
                with anyio.fail_after(self._limit):
                    await self._socket.send_frame(message, WSMsgType.TEXT)
                    # The frame alone waits only once in ``limit`` bytes.
                    await self._writer.drain()
            except TimeoutError:
                raise Stalled from None
            except ConnectionError as error:
                raise Gone from error
        return False

    def _has_room(self, size: int) -> bool:
        return not self._turn.locked() and self._socket.room > size + _FRAME_HEAD
