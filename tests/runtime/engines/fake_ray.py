"""A handle with the habits of Ray Serve's: what a replica was asked for runs to its end, whoever
cancels or drops the reader, until ``cancel()`` is called."""

import asyncio
from contextlib import aclosing
from typing import Any

from frontrunner.runtime.engines.protocol import Chunk, Engine, Generation


class RequestCancelledError(Exception):
    """Ray Serve's, which it raises in the place of the reader's own cancellation as well."""


class FakeResponse:
    def __init__(self, engine: Engine, request: Generation) -> None:
        self._queue = asyncio.Queue[Chunk | Exception]()
        self._cancelled = False
        self._replica = asyncio.create_task(self._run(engine, request))

    async def _run(self, engine: Engine, request: Generation) -> None:
        try:
            async with aclosing(engine.generate(request)) as chunks:
                async for chunk in chunks:
                    self._queue.put_nowait(chunk)
        except asyncio.CancelledError:
            self._queue.put_nowait(RequestCancelledError(request.request_id))
            raise
        except Exception as error:  # noqa: BLE001 - told to the reader, as Ray does
            self._queue.put_nowait(error)
        self._queue.put_nowait(StopAsyncIteration())

    def cancel(self) -> None:
        self._cancelled = True
        self._replica.cancel()

    def __aiter__(self) -> "FakeResponse":
        return self

    async def __anext__(self) -> Chunk:
        try:
            got = await self._queue.get()
        except asyncio.CancelledError:
            if self._cancelled:
                raise RequestCancelledError from None
            raise
        if isinstance(got, Exception):
            raise got
        return got


class FakeHandle:
    """Of a deployment whose replica is ``engine``."""

    def __init__(self, engine: Engine, session: str | None = None) -> None:
        self._engine = engine
        self._session = session
        self.sessions: list[str | None] = []
        self.info = self.generate = self

    def options(self, *, stream: bool, session_id: str) -> "FakeHandle":
        assert stream
        self.sessions.append(session_id)
        return FakeHandle(self._engine, session_id)

    def remote(self, *given: Any) -> Any:
        if given:
            return FakeResponse(self._engine, given[0])

        async def info() -> Any:
            return self._engine.info

        return info()
