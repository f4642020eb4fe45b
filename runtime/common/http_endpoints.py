"""What every client of an HTTP endpoint needs: its key, and when to ask again."""

import os
import random
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

import aiohttp
import anyio
import anyio.lowlevel

from ..errors import EngineStartError

T = TypeVar("T")

#: Answers after which the same request may succeed.
RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
#: Seconds before the first retry; they double, up to the longest.
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 5.0
#: Bytes that are read of an answer in one turn of the event loop.
PIECE_BYTES = 2**16
#: Of an endpoint's complaint, in the log and in errors.
SHOWN_CHARS = 200


class TryAgain(Exception):
    """The base class of errors after which the same request may succeed."""

    after: float = 0.0
    """Seconds that the endpoint asks us to wait."""


async def with_retries(
    send: Callable[[], Awaitable[T]],
    *,
    retries: int,
    until: float = inf,
    longest_wait: float = inf,
) -> T:
    """What ``send`` returns; it is called again after it raised ``TryAgain``, if there is time.

    Waiting ends before the caller's own deadline (``anyio.current_effective_deadline``), which the
    retries of a library would not know of: a wait that would reach it is not begun.

    Args:
        retries: calls after the first one, at most.
        until: no call is begun then or later, in seconds on the anyio clock.
        longest_wait: seconds; an endpoint that asks for a longer wait is not asked again.

    Raises:
        TryAgain: of the last call.
        Exception: whatever else ``send`` raises, at once.
    """
    pause, left = _FIRST_PAUSE, retries
    while True:
        try:
            return await send()
        except TryAgain as error:
            # Of many requests that were refused together, not all come back together.
            wait = max(error.after, pause * random.uniform(0.5, 1.0))
            again = anyio.current_time() + wait
            ends = min(until, anyio.current_effective_deadline())
            if not left or wait > longest_wait or again >= ends:
                raise
        await anyio.sleep(wait)
        pause, left = min(2 * pause, _MAX_PAUSE), left - 1


def authorization(setting: str, variable: str | None) -> dict[str, str]:
    """The header with the key that the environment variable holds; none without a variable.

    Args:
        setting: the path of the setting that names the variable.

    Raises:
        EngineStartError: the variable is not set, or no header can carry what it holds.
    """
    if variable is None:
        return {}
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EngineStartError(f"{setting}: the environment variable {variable} is not set")
    if not (key.isascii() and key.isprintable()):
        raise EngineStartError(f"{setting}: {variable} holds characters that no key has")
    return {"Authorization": f"Bearer {key}"}


class AnswerTooLong(Exception):
    """An answer exceeds what was expected of it at most."""


async def read_answer(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body of an answer. The event loop has its turn between any two pieces of it, as
    fast as they may come.

    Raises:
        AnswerTooLong: it has over ``limit`` bytes; no more than that was kept.
        aiohttp.ClientError, OSError: it broke off.
    """
    data = bytearray()
    while part := await response.content.read(PIECE_BYTES):
        data += part
        if len(data) > limit:
            raise AnswerTooLong(f"an answer of over {limit} bytes")
        await anyio.lowlevel.checkpoint()
    return bytes(data)


def retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds that the endpoint asks us to wait; its dates are taken as never."""
    value = response.headers.get("Retry-After", "0")
    try:
        return max(0.0, float(value))
    except ValueError:
        return inf
