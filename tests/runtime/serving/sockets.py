"""A websocket client for tests: what it is sent, by response."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .conftest import Served

Event = dict[str, Any]
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


class Client:
    """One connection, by the library of that name."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(orjson.dumps({"type": kind, **fields}).decode())

    async def create(self, question: str = "What is 6 times 7?", **fields: Any) -> None:
        race = {"branches": 4, "deadline": 2, **fields.pop("frontrunner", {})}
        await self.send("response.create", input=question, frontrunner=race, **fields)

    async def next(self) -> Event:
        return orjson.loads(await self.socket.recv())

    async def until(self, *kinds: str) -> list[Event]:
        """All events up to the first of these kinds."""
        events = [await self.next()]
        while events[-1]["type"] not in kinds:
            events.append(await self.next())
        return events

    async def ended(self, responses: int = 1) -> list[Event]:
        """All events until so many responses have ended."""
        events = list[Event]()
        for _ in range(responses):
            events += await self.until(*TERMINAL)
        return events

    async def closed(self) -> int:
        """The code with which the server closes the connection, whatever comes before."""
        try:
            while True:
                await self.next()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006


@asynccontextmanager
async def dial(served: Served, **settings: Any) -> AsyncGenerator[Client, None]:
    """A connection to the server."""
    url = f"ws://127.0.0.1:{served.port}/v1/responses"
    async with connect(url, **settings) as socket:
        yield Client(socket)
