"""A request to an OpenAI-compatible endpoint while it runs, and its answer as it comes."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import anyio
import anyio.lowlevel

from ...common.http_endpoints import SHOWN_CHARS
from ...common.loop_clock import loop_time
from ...errors import EngineError
from ..breaker import Breaker
from ..protocol import FinishReason, Generation, Sampling, TokenSink
from .http import described
from .request_slots import RequestSlots
from .sse_decoder import EventDecoder, EventTooLong
from .wire import BadAnswer, Delta, ReasoningMarks, read_event

T = TypeVar("T")

#: Bytes of an event; the first one repeats the prompt's token ids, each with up to so many more.
_MAX_EVENT = 2**18
_BYTES_PER_TOKEN_ID = 12
#: A pause longer than this between two chunks is a stall, not a step.
_MAX_STEP = 2.0
#: Bytes that are read of a stream in one turn of the event loop: a hundredth of a second's work.
_READ_BYTES = 2**14
#: Bytes in a row without any text: comments that keep a connection open, usage, empty chunks.
_MAX_SILENT = 2**18
#: Reads in a row without any text, one straight after the other; then so many seconds between them.
_QUICK_READS, _PAUSE = 8, 0.005
#: Where nobody waits for each piece, a stream is left alone for a while after each read, so that
#: the next one brings several: for this part of the time that it has run, and so many seconds at
#: most. An answer is that much later at most; a read costs as much as many tokens.
_REST_SHARE, _MOST_REST = 0.01, 0.05
#: Tokens that a rest must bring by what came so far; of fewer it costs more than it saves.
_LEAST_REST = 3
#: Reads after the text is complete.
_LAST_READS = 8
#: Characters of a token, on average, and over that of a whole text; the longest ones of today's
#: vocabularies are runs of a hundred spaces.
_CHARS_PER_TOKEN, _TEXT_ROOM = 64, 2**14
#: Tokens that an estimate may be beyond what was asked for.
_MISCOUNT = 16


def tokens_at_once(request: Generation, sink: TokenSink, token_seconds: float | None) -> int:
    """Tokens in a piece of a stream: one where each is waited for, or counts when the time is up;
    else as many as come while it may be left alone.

    Args:
        token_seconds: for one token of one branch; None: it is not known.
    """
    left = request.deadline - loop_time()
    if sink.immediate or request.forced or token_seconds is None or left <= 0:
        return 1
    return max(1, int(_rest_seconds(left) / token_seconds))


def _rest_seconds(left: float) -> float:
    """How long a stream may be left alone, so many seconds before the deadline."""
    return min(_MOST_REST, _REST_SHARE * left)


@dataclass(frozen=True, slots=True)
class Heard:
    """Whom a stream tells how its endpoint does."""

    took: Callable[[float, int], None]
    """Told the seconds since the last tokens, and how many came."""
    breaker: Breaker
    redact: Callable[[str], str]
    """Takes the key out of what the endpoint says."""


@dataclass(slots=True)
class LiveRequest:
    """A request that runs, or waits for a place."""

    slots: RequestSlots
    aborted: bool = False
    holds_slot: bool = False
    tokens_at_once: int = 1  # in a piece of its stream, if the server can do that
    response: aiohttp.ClientResponse | None = None
    scope: anyio.CancelScope | None = None  # around what it waits for

    async def unless_aborted(self, function: Callable[[], Awaitable[T]]) -> T | None:
        """What ``function`` returns; None if the request is aborted before or meanwhile."""
        if self.aborted:
            return None
        try:
            with anyio.CancelScope() as self.scope:
                return await function()
        except EngineError:
            if not self.aborted:  # else it is only that the connection was closed
                raise
        finally:
            self.scope = None
        return None

    def abort(self) -> None:
        self.aborted = True
        if self.response is not None:
            self.response.close()
        if self.scope is not None:
            self.scope.cancel()

    def close(self) -> None:
        """Give everything back. Idempotent."""
        if self.response is not None:
            self.response.close()  # which keeps a connection whose answer was read to its end
        if self.holds_slot:
            self.holds_slot = False
            self.slots.release()


class DeltaStream:
    """The deltas of an answer. What was read at once comes as one."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        request: Generation,
        heard: "Heard",
        *,
        token_ids: bool,
        marks: ReasoningMarks | None = None,
    ) -> None:
        """
        Args:
            heard: whom it tells how the endpoint does.
            marks: of the model's thinking, for an endpoint that tells it apart.
        """
        self._marks = marks
        self._response = response
        self._heard = heard
        self._decoder = EventDecoder(_MAX_EVENT + _BYTES_PER_TOKEN_ID * len(request.prompt))
        self._room = request.max_tokens + (0 if token_ids else _MISCOUNT)
        self._text_room = _TEXT_ROOM + _CHARS_PER_TOKEN * request.max_tokens
        self._silent = 0  # bytes since the last text
        self._silent_limit = _MAX_SILENT + _BYTES_PER_TOKEN_ID * len(request.prompt)
        self._silent_reads = 0  # likewise
        self._token_ids = token_ids
        self._last: float | None = None  # when the last tokens came
        self._began, self._tokens = time.monotonic(), 0
        self._deadline = request.deadline
        self._read_all = True  # what had arrived, at the last read

    async def next(self) -> Delta:
        """What was read at once.

        Raises:
            EngineError: as ``read``.
        """
        return Delta.merged(await self.read())

    async def read(self) -> list[Delta]:
        """The same in its pieces, one at least.

        Raises:
            EngineError: the stream ended early, or says something else than text.
        """
        while True:
            try:
                data = await self._response.content.read(_READ_BYTES)
            except (aiohttp.ClientError, OSError) as error:
                raise EngineError(f"the endpoint's stream broke off: {described(error)}") from error
            if not data:
                raise EngineError("the endpoint's stream ended before its text did")
            self._read_all = len(data) < _READ_BYTES
            try:
                deltas = self._read(data)
            except (BadAnswer, EventTooLong) as error:
                said = self._heard.redact(str(error))[:SHOWN_CHARS]
                raise EngineError(f"the endpoint's stream: {said}") from error
            if deltas:
                self._heard.breaker.succeeded()
                self._silent = self._silent_reads = 0
                return deltas
            await self._bear_silence(len(data))

    async def put_into(self, sink: TokenSink, sampling: Sampling) -> FinishReason:
        """Put all that comes into ``sink``, with log probabilities as ``sampling`` asked for them;
        returns why it ended.

        Raises:
            EngineError: as ``read``.
        """
        while True:
            deltas = await self.read()
            if said := [delta for delta in deltas if delta.text or delta.tokens]:
                sink.put_all(
                    [delta.text for delta in said],
                    [delta.ids for delta in said],
                    [c for delta in said for c in delta.confidences(sampling)]
                    if sampling.measured
                    else (),
                )
            if (finish := deltas[-1].finish) is not None:
                return finish
            if not sink.immediate and self._read_all:
                await self._rest()

    async def _rest(self) -> None:
        """Let some more come before the next read; less so where the race is about to be called,
        since what has not been read by then is not in it."""
        if self._tokens * _REST_SHARE < _LEAST_REST:
            return  # as below, of the longest rest
        took = time.monotonic() - self._began
        left = self._deadline - loop_time()
        seconds = min(_rest_seconds(left), _REST_SHARE * took)
        connection = self._response.connection
        protocol = connection.protocol if connection is not None else None
        if protocol is None or not protocol.connected:
            return
        if self._tokens * seconds < _LEAST_REST * took:
            return
        protocol.pause_reading()
        try:
            await anyio.sleep(seconds)
        finally:
            protocol.resume_reading()

    async def _bear_silence(self, size: int) -> None:
        """So many bytes came that hold no text. One that goes on like this must not keep the event
        loop from others: it is read rarely, and then no more."""
        self._silent += size
        self._silent_reads += 1
        if self._silent > self._silent_limit:
            raise EngineError(f"the endpoint's stream: {self._silent} bytes without any text")
        if self._silent_reads > _QUICK_READS:
            await anyio.sleep(_PAUSE)
        else:
            await anyio.lowlevel.checkpoint()

    async def drain(self) -> None:
        """Read to the end, where nothing is expected any more."""
        try:
            for _ in range(_LAST_READS):
                if not await self._response.content.read(_READ_BYTES):
                    return
                await anyio.lowlevel.checkpoint()
        except (aiohttp.ClientError, OSError):
            return  # its text was complete

    def _read(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        for event in self._decoder.feed(data):
            if event == b"[DONE]":  # complete, though without a reason
                delta = Delta("", 0, (), FinishReason.STOP)
            else:
                delta = read_event(event, token_ids=self._token_ids, marks=self._marks)
            if delta is None:
                continue
            self._room -= delta.tokens
            self._text_room -= len(delta.text)
            if self._text_room < 0:
                raise BadAnswer("more text than the tokens asked for can stand for")
            if self._room < 0:
                raise BadAnswer("more tokens than were asked for")
            deltas.append(delta)
            if delta.finish is not None:
                break
        tokens = sum(delta.tokens for delta in deltas)
        self._tokens += tokens
        self._time(tokens)
        return deltas

    def _time(self, tokens: int) -> None:
        if not tokens:
            return
        now = time.monotonic()
        if self._last is not None and now - self._last < _MAX_STEP:
            self._heard.took(now - self._last, tokens)
        self._last = now
