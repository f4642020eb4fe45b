"""The load of a soak: users who ask, leave, read slowly and ask again."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import aiohttp
import anyio
import orjson

from ...experiments.soak_log import End, RaceEnded
from .questions import Asked

#: Seconds beyond its deadline after which a reply will not come any more.
_GRACE: Final = 30.0
#: A slow reader takes so many bytes at a time, with so many seconds between, for so many times the
#: deadline at most.
_SIP, _SIP_PAUSE, _SIP_TIMES = 512, 0.1, 3.0
#: The weight of the latest race in the usual time of one, and the share of that in which clients
#: leave that do: later most races are over.
_MEMORY, _EARLY = 0.1, 0.7
_BASE: Final = "http://soak/v1"
_CODES: Final = {"unavailable": End.REFUSED, "engine_restarting": End.RESTARTING}
#: What a race is told whose engine dies; ``server_error`` is the name that responses have for all.
_LOST: Final = ("engine_error", "server_error")
#: Of the refusal of a deadline that could not be kept.
_TOO_SHORT: Final = "s is too short: this engine needs about"
_SHOWN: Final = 200
_NOT_ACTIVE: Final = "response_cancel_not_active"
#: The last event of a response over a websocket.
_LAST: Final = ("error", "response.failed", "response.completed", "response.incomplete")


@dataclass(frozen=True, slots=True)
class Load:
    """What the users of a soak do."""

    questions: Sequence[Asked]
    users: int
    deadline: float  # seconds; each race has 0.5 to 1.5 times as many
    cancels: float  # share of the races that are left
    slow: float  # share of the races that are read slowly
    pause: float  # seconds that a user waits before the next race, on average
    key: str | None = None  # of the server


@dataclass(slots=True)
class Reply:
    """What came of a request."""

    status: int = 0
    code: str | None = None
    message: str = ""
    summary: Mapping[str, Any] | None = None

    def take(self, said: Any) -> None:
        """Note what a body, a chunk or an event says of the race."""
        if not isinstance(said, Mapping):
            return
        within: Any = said.get("response") or said
        error: Any = said.get("error") or within.get("error")
        if isinstance(error, Mapping):
            self.code = str(error.get("code"))
            self.message = str(error.get("message"))
            self.status = int(said.get("status") or self.status or 0)
        if isinstance(summary := within.get("frontrunner"), Mapping):
            self.summary = summary


Way = Callable[[aiohttp.ClientSession, dict[str, Any], Reply, "Leaving"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Leaving:
    """When and how a client leaves."""

    after: float = inf  # seconds
    politely: bool = False  # by a message, where there is one


@dataclass(slots=True)
class Users:
    """All users of a soak."""

    load: Load
    session: aiohttp.ClientSession
    ended: Callable[[RaceEnded], None]
    """Is told of each race."""
    clock: Callable[[], float]
    """Seconds of load so far."""
    struck_of_late: Callable[[], bool]
    """Whether the engine was killed a moment ago."""
    chance: random.Random = field(default_factory=random.Random)
    _usual: float = 0.0  # seconds of a race

    async def run(self) -> None:
        """Ask until cancelled."""
        self._usual = self._usual or self.load.deadline / 2
        async with anyio.create_task_group() as tasks:
            for _ in range(self.load.users):
                tasks.start_soon(self._ask_on)

    async def _ask_on(self) -> None:
        while True:
            await anyio.sleep(
                self.chance.expovariate(1 / self.load.pause) if self.load.pause else 0
            )
            race = await self._race()
            self.ended(race)
            if race.end in (End.REFUSED, End.RESTARTING, End.FAILED):
                await anyio.sleep(0.5)  # as who obeys Retry-After, but sooner

    async def _race(self) -> RaceEnded:
        chance, load = self.chance, self.load
        asked = chance.choice(load.questions)
        deadline = round(load.deadline * chance.uniform(0.5, 1.5), 3)
        client = "slow" if chance.random() < load.slow else chance.choice(list(WAYS))
        leaving = Leaving()
        if chance.random() < load.cancels:
            leaving = Leaving(chance.uniform(0.0, _EARLY * self._usual), chance.random() < 0.5)
        body = {
            "seed": chance.getrandbits(31),
            "question": asked.question,
            "frontrunner": {"deadline": deadline},
        }
        reply, problem, cut_off = Reply(), None, False
        began = time.perf_counter()
        try:
            with anyio.fail_after(deadline * _SIP_TIMES + _GRACE):
                says_so = client == "websocket" and leaving.politely
                with anyio.move_on_after(inf if says_so else leaving.after) as scope:
                    way = read_slowly if client == "slow" else WAYS[client]
                    await way(self.session, body, reply, leaving)
                left = scope.cancelled_caught or reply.code == "cancelled"
        except TimeoutError:
            left, problem = False, f"no end {_GRACE:g} s after the deadline"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            left, problem = False, f"{type(error).__name__}: {error}"
            cut_off = client == "slow" and isinstance(error, aiohttp.ClientPayloadError)
        seconds = time.perf_counter() - began
        end, problem = (End.CUT_OFF, None) if cut_off else self._end(reply, left, problem)
        if end is End.ANSWERED:
            self._usual += _MEMORY * (min(seconds, deadline) - self._usual)
        summary = reply.summary or {}
        right = None
        if end is End.ANSWERED and asked.answer is not None:
            right = str(summary.get("answer")) == asked.answer
        return RaceEnded(
            at=round(self.clock(), 3),
            client=client,
            end=end,
            deadline=deadline,
            seconds=round(seconds, 4),
            right=right,
            overshoot=summary.get("overshoot") if end is End.ANSWERED else None,
            problem=problem,
        )

    def _end(self, reply: Reply, left: bool, problem: str | None) -> tuple[End, str | None]:
        if left:
            return End.LEFT, None
        if problem is None and reply.code is None and reply.summary is not None:
            return End.ANSWERED, None
        if reply.code in _CODES or reply.status == 429:
            return _CODES.get(reply.code or "", End.REFUSED), None
        if _TOO_SHORT in reply.message:  # for what the server takes just now: it told so at once
            return End.REFUSED, None
        if reply.code in _LOST and self.struck_of_late():
            return End.LOST, None
        told = f"HTTP {reply.status}, {reply.code}: {reply.message}"
        return End.FAILED, (problem or told)[:_SHOWN]


# ── the ways of asking ────────────────────────────────────────────────────────────────────────


def _chat(body: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    question = body["question"]
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
    return {
        "messages": messages,
        "stream": stream,
        "seed": body["seed"],
        "frontrunner": body["frontrunner"],
    }


async def read_whole(
    session: aiohttp.ClientSession, body: dict[str, Any], reply: Reply, leaving: Leaving
) -> None:
    """One reply in one piece."""
    async with session.post(f"{_BASE}/chat/completions", json=_chat(body, stream=False)) as said:
        reply.status = said.status
        reply.take(orjson.loads(await said.read()))


async def read_stream(
    session: aiohttp.ClientSession, body: dict[str, Any], reply: Reply, leaving: Leaving
) -> None:
    """A stream, read as it comes."""
    async with session.post(f"{_BASE}/chat/completions", json=_chat(body, stream=True)) as said:
        reply.status = said.status
        await _take_events(said.content.iter_any(), reply)


async def read_slowly(
    session: aiohttp.ClientSession, body: dict[str, Any], reply: Reply, leaving: Leaving
) -> None:
    """A stream with all events, of which a little is read at a time."""
    asked = _chat(body, stream=True)
    asked["frontrunner"] = {**asked["frontrunner"], "events": True}

    async def sips(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
        until = time.perf_counter() + _SIP_TIMES * body["frontrunner"]["deadline"]
        while piece := await content.read(_SIP):
            yield piece
            if time.perf_counter() < until:  # else it has had enough of being slow
                await anyio.sleep(_SIP_PAUSE)

    async with session.post(f"{_BASE}/chat/completions", json=asked, read_bufsize=2 * _SIP) as said:
        reply.status = said.status
        await _take_events(sips(said.content), reply)


async def _take_events(pieces: AsyncIterator[bytes], reply: Reply) -> None:
    """Note what a stream's events say of the race; a refusal is a body without events."""
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if b'"frontrunner"' in line or b'"error"' in line:
                with suppress(ValueError):
                    reply.take(orjson.loads(line.removeprefix(b"data: ")))
    if rest:
        reply.take(orjson.loads(rest))


async def read_socket(
    session: aiohttp.ClientSession, body: dict[str, Any], reply: Reply, leaving: Leaving
) -> None:
    """A response over a websocket; who leaves politely says so, and waits for the end."""
    create = {
        "type": "response.create",
        "input": body["question"],
        "store": False,  # what the server keeps for an hour would look like a leak of some minutes
        "frontrunner": body["frontrunner"],
    }

    async def cancel(socket: aiohttp.ClientWebSocketResponse) -> None:
        await anyio.sleep(leaving.after)
        with suppress(ConnectionError):  # it has just ended
            await socket.send_str('{"type": "response.cancel"}')

    async with (
        session.ws_connect(f"{_BASE}/responses") as socket,
        anyio.create_task_group() as tasks,
    ):
        reply.status = 200
        await socket.send_str(orjson.dumps(create).decode())
        if leaving.politely:
            tasks.start_soon(cancel, socket)
        async for message in socket:
            said = orjson.loads(message.data)
            if said["type"] == "error" and said["error"]["code"] == _NOT_ACTIVE:
                continue  # it was cancelled before it had begun
            if said["type"] in _LAST:
                reply.take(said)
                if said["type"] != "error" and said["response"]["status"] == "cancelled":
                    reply.code = "cancelled"
                break
        else:
            reply.message = "the websocket was closed"
        tasks.cancel_scope.cancel()


WAYS: Final[Mapping[str, Way]] = {
    "whole": read_whole,
    "stream": read_stream,
    "websocket": read_socket,
}
