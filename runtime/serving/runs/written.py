"""Streams that one request writes from several races, or from none."""

from collections.abc import Awaitable, Callable

import anyio
from aiohttp import web

from ...errors import FrontrunnerError
from ..app_keys import SETTINGS
from ..errors import error_object
from .frames import JsonFrame
from .replay_buffer import LogReader, ReplayBuffer
from .sse_stream import POLL_INTERVAL, stream_frames


async def stream_written(
    request: web.Request, write: Callable[[ReplayBuffer], Awaitable[None]]
) -> web.StreamResponse | None:
    """Stream what ``write`` puts into a log, until it returns; None: the client went away before
    the stream began.

    A client that goes away cancels ``write``.

    Raises:
        FrontrunnerError: of ``write``, before anything was written. A later one is told in the
            stream, as its end.
    """
    settings = request.app[SETTINGS]
    log = ReplayBuffer(settings.log_frames, settings.log_bytes)
    failure: FrontrunnerError | None = None
    response: web.StreamResponse | None = None

    async def writing() -> None:
        nonlocal failure
        try:
            await write(log)
        except FrontrunnerError as error:
            if log.next:
                log.extend([JsonFrame({"error": error_object(error)}, terminal=True)], final=True)
            else:
                failure = error  # raised outside, where no ExceptionGroup wraps it
        finally:
            log.close()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writing)
        while not (log.next or log.closed or request.transport is None):
            with anyio.move_on_after(POLL_INTERVAL):
                await log.batch(-1)
        if log.next and request.transport is not None:
            response = await stream_frames(request, LogReader(log), done=b"[DONE]")
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return response
