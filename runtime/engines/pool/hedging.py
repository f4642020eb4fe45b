"""The first branch of a race begun on a second member too, if the first one is silent."""

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import anyio

from ...errors import EngineError
from ..protocol import Chunk
from .member import Member, PooledRequest

#: Seconds that telling the slower member takes at most.
_ABORT_LIMIT = 0.02


class Hedge:
    """One request that waits for its first token on one member, then on two."""

    def __init__(
        self,
        live: PooledRequest,
        stream: AsyncGenerator[Chunk, None],
        after: float,
        second: Callable[[], Member | None],
        moved: Callable[[Member], None],
    ) -> None:
        """
        Args:
            live: has begun on its member, as ``stream``.
            after: seconds without a token until a second member is asked.
            second: which that is; None: there is none.
            moved: told of the second member where that one was the first to speak.
        """
        self._live = live
        self._stream = stream
        self._after = after
        self._second = second
        self._moved = moved
        self._other: AsyncGenerator[Chunk, None] | None = None  # on the second member
        self._asked = 0
        self._won: tuple[Member, AsyncGenerator[Chunk, None], Chunk, float] | None = None
        self._failures: list[Exception] = []
        self._done = anyio.Event()

    async def run(self) -> tuple[AsyncGenerator[Chunk, None], Chunk | None]:
        """The stream that goes on, and its first chunk; None: the request was interrupted.

        Raises:
            EngineError: it is lost on all members that were asked.
        """
        live, member = self._live, self._live.member
        assert member is not None
        other: Member | None = None
        began = anyio.current_time()
        try:
            async with anyio.create_task_group() as tasks:
                live.scope = tasks.cancel_scope
                tasks.start_soon(self._wait, member, self._stream)
                with anyio.move_on_after(self._after):
                    await self._done.wait()
                if not self._done.is_set() and (other := self._second()) is not None:
                    self._other = other.engine.generate(live.hedge(other))
                    tasks.start_soon(self._wait, other, self._other)
                await self._done.wait()
                tasks.cancel_scope.cancel()
        finally:
            live.scope = None
            if other is not None:
                await self._end_loser(member, other)
        if self._won is None:
            if not live.interrupted:
                raise self._failures[0]
            return self._stream, None
        won, stream, chunk, since = self._won
        live.began = since if won is not member else began
        return stream, chunk

    async def _wait(self, member: Member, stream: AsyncGenerator[Chunk, None]) -> None:
        self._asked += 1
        since = anyio.current_time()
        try:
            with member.awaited():
                chunk = await anext(stream)
        except StopAsyncIteration:
            self._failures.append(EngineError("the engine ended the request without a reason"))
        except Exception as error:  # noqa: BLE001 - raised by ``run``, outside of the task group
            self._failures.append(error)
        else:
            self._won = self._won or (member, stream, chunk, since)
        if self._won is not None or len(self._failures) == self._asked:
            self._done.set()

    async def _end_loser(self, first: Member, second: Member) -> None:
        """Leave the member that was slower, or the second one if none won."""
        live = self._live
        won = self._won is not None and self._won[0] is second
        loser, attempt = (first, live.attempt) if won else (second, live.hedge_attempt)
        live.end_hedge(second if won else first)
        if won:
            self._moved(second)
        with anyio.move_on_after(_ABORT_LIMIT, shield=True), suppress(EngineError):
            await loser.engine.abort([attempt])  # where it is dead or closed, nothing runs
        with anyio.move_on_after(_ABORT_LIMIT, shield=True):
            stream = self._stream if won else self._other
            assert stream is not None
            await stream.aclose()
