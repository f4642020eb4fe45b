"""Races on an endpoint that fails in every way: each has its result, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

from frontrunner.runtime.config import Settings
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ...backends import SteadyLoop, no_tasks_left, until
from .fake_endpoint import FakeEndpoint, endpoint, engine_for

pytestmark = [
    pytest.mark.slow,  # it waits in real time
    pytest.mark.parametrize("anyio_backend", ["asyncio", "uvloop"], indirect=True),
]

SETTINGS = Settings.from_dict(
    {"answers": {"workers": 0}, "sampling": {"max_tokens": 8}, "race": {"return_margin": 0.02}}
)
DEADLINE = 2.0  # seconds
#: Seconds of a race that is to end by itself, and of one that stalls until then as others finish,
#: on a loop whose time does not wait for a busy machine.
ENDS, STALLS = 100.0, 8.0
HANGS = 120.0  # seconds after which a race that should have ended long ago counts as hung

#: Answers a request (given None), or goes on where its stream has begun; None: nothing happens.
Fault = Callable[[web.Request, web.StreamResponse | None], Awaitable[web.StreamResponse | None]]


def refuses(status: int, **headers: str) -> Fault:
    async def fault(request: web.Request, response: Any) -> web.StreamResponse | None:
        return web.Response(status=status, headers=headers, text="no")

    return fault


async def stalls_before_its_headers(request: web.Request, response: Any) -> Any:
    await anyio.sleep_forever()


async def stalls_in_its_text(request: web.Request, response: Any) -> Any:
    if response is not None:
        await anyio.sleep_forever()


async def is_cut_off(request: web.Request, response: Any) -> Any:
    if response is not None:
        assert request.transport is not None
        request.transport.abort()
    return response


async def ends_early(request: web.Request, response: Any) -> Any:
    return response


def says(*data: bytes, again: bool = False) -> Fault:
    """Writes ``data`` in the middle of its text, for ever if ``again``."""

    async def fault(request: web.Request, response: Any) -> Any:
        if response is None:
            return None
        while True:
            for part in data:
                await response.write(part)
            if not again:
                return response
            await anyio.lowlevel.checkpoint()

    return fault


def writes_raw(data: bytes, *, again: bool = False) -> Fault:
    """Writes ``data`` where an answer's head should be."""

    async def fault(request: web.Request, response: Any) -> Any:
        if response is not None:
            return None
        transport = request.transport
        while transport is not None and not transport.is_closing():
            transport.write(data)
            await anyio.sleep(0.001)
            if not again:
                transport.close()
        return web.Response()

    return fault


FAULTS: dict[str, Fault] = {
    "429": refuses(429),
    "429 for long": refuses(429, **{"Retry-After": "600"}),
    "503": refuses(503, **{"Retry-After": "0"}),
    "500": refuses(500),
    "404": refuses(404),
    "redirect": refuses(302, Location="http://127.0.0.1:9/"),
    "stalled head": stalls_before_its_headers,
    "stalled text": stalls_in_its_text,
    "cut off": is_cut_off,
    "ended early": ends_early,
    "garbage": says(bytes(range(256)) * 8, b"\n\n"),
    "no JSON": says(b"data: {choices\n\n"),
    "no object": says(b"data: 5\n\n"),
    "wrong types": says(b'data: {"choices": [{"text": 7, "token_ids": "x"}]}\n\n'),
    "no token ids": says(b'data: {"choices": [{"text": "a"}]}\n\n'),
    "its own error": says(b'data: {"error": {"message": "out of memory"}}\n\n'),
    "given up": says(b'data: {"choices": [{"text": "", "finish_reason": "abort"}]}\n\n'),
    "a line of 1 MB": says(b"data: " + b"x" * 2**20),
    "an event without end": says(b"data: " + b"x" * 2**12 + b"\n", again=True),
    "comments for ever": says(b": ping\n\n", again=True),
    "more tokens than asked for": says(
        b'data: {"choices": [{"text": "a", "token_ids": [1]}]}\n\n', again=True
    ),
    "no HTTP": writes_raw(b"\x00\xff" * 50),
    "headers for ever": writes_raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 60, again=True),
    "a header for ever": writes_raw(b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 4096, again=True),
}


STALLING = ("stalled head", "stalled text", "comments for ever")


async def race(runtime: Runtime, stalls: float = ENDS) -> Any:
    """A race, with a deadline of ``stalls`` seconds where the loop's time runs on."""
    steady = isinstance(asyncio.get_running_loop(), SteadyLoop)
    with anyio.fail_after(HANGS):
        return await runtime.solve(
            "Two and two?",
            deadline=DEADLINE if steady else stalls,
            branches=6,
            parameters={"stop": "none"},
        )


@asynccontextmanager
async def racing() -> AsyncGenerator[tuple[FakeEndpoint, Runtime], None]:
    """An endpoint whose branches all say 4, and a runtime on it that has raced once."""
    async with (
        endpoint(length=lambda prompt: 5, write=lambda n: "\\boxed{4} ") as fake,
        Runtime(engine_for(fake), SETTINGS) as runtime,
    ):
        assert (await race(runtime)).answer == "4"
        await is_idle(fake, runtime)
        yield fake, runtime


async def is_idle(fake: FakeEndpoint, runtime: Runtime) -> None:
    # Beside races there may be a trial whether an endpoint that failed serves again.
    await until(lambda: runtime.load().running == runtime.load().waiting == 0)
    await until(lambda: fake.running == 0)


@pytest.mark.parametrize("name", FAULTS)
async def test_half_of_the_branches_fail_and_the_others_answer(name: str) -> None:
    async with racing() as (fake, runtime), no_tasks_left():
        faulty = [True, False]

        def every_other(body: dict[str, Any], number: int) -> Fault | None:
            faulty.reverse()
            return FAULTS[name] if faulty[0] else None

        fake.fault = every_other
        result = await race(runtime, STALLS if name in STALLING else ENDS)
        assert result.answer == "4"
        finished = [b for b in result.branches if b.status is BranchStatus.FINISHED]
        assert len(finished) >= 3
        await is_idle(fake, runtime)
        fake.fault = lambda body, number: None
        assert (await race(runtime)).stop_reason is StopReason.EXHAUSTED
        await is_idle(fake, runtime)


@pytest.mark.parametrize("name", FAULTS)
async def test_all_branches_fail_and_the_race_has_its_result(name: str) -> None:
    async with racing() as (fake, runtime):
        fake.fault = lambda body, number: FAULTS[name]
        before = len(fake.asked)
        result = await race(runtime, DEADLINE)
        assert result.stop_reason in (StopReason.FAILED, StopReason.DEADLINE)
        assert all(b.status is not BranchStatus.FINISHED for b in result.branches)
        await is_idle(fake, runtime)
        asked = [path for path, _ in fake.asked[before:] if path.endswith("completions")]
        # Six branches, and as many forced answers, each with two more tries at most.
        assert len(asked) <= 6 * 3 * 2


async def test_an_endpoint_that_goes_away_costs_the_answer_and_not_the_result() -> None:
    async with racing() as (fake, runtime):
        await fake.stop()
        result = await race(runtime)
        assert result.answer is None
        assert runtime.engine.failure is not None
        assert all("not reached" in (branch.error or "") for branch in result.branches)
