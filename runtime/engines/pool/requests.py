"""The requests of a pool: each runs on one member, and on another one if that is lost."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import anyio
import structlog

from ...errors import EngineError
from ..logprobs import ScoredChunk, SupportsLogprobs
from ..next_tokens import SupportsNextTokens
from ..protocol import Chunk, FinishReason, Generation, Sampling, TokenSink, feeding
from .fed import feed
from .hedging import Hedge
from .member import Member, PooledRequest
from .members import Members
from .routing import Router, least_loaded

_log = structlog.get_logger("frontrunner.engine")

#: Ends of a request that the member chose, and nobody here.
_LOST = (FinishReason.ABORT, FinishReason.ERROR)
#: Times that a request is tried on a member for each of its replicas.
_TRIES = 2
#: Seconds that telling a member to end a request takes which has left it; one that has stalled
#: would take any time.
_ABORT_LIMIT = 0.02


class Requests:
    """The requests of one pool."""

    def __init__(self, members: Members, hedge_after: float | None) -> None:
        """
        Args:
            hedge_after: see ``PoolEngine``.
        """
        self._members = members
        self._router = Router()
        self._live: dict[str, PooledRequest] = {}
        self._hedge_after = hedge_after

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        """See ``Engine.generate``."""
        live = self._enter(request)
        try:
            while True:
                member = self._place(live)
                try:
                    async with aclosing(self._attempt(live, member)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    return
                except EngineError as error:
                    if not self._moves(live, error):
                        raise
                finally:
                    self._leave_member(live)
        finally:
            self._exit(live)

    async def _attempt(self, live: PooledRequest, member: Member) -> AsyncGenerator[Chunk, None]:
        """What the member says, to the request's end.

        Raises:
            EngineError: the request is lost there, or is to leave it.
        """
        stream = member.engine.generate(live.begin(member))
        first: Chunk | None = None
        if self._hedge_after is not None and live.may_be_hedged:
            stream, first = await self._hedged(live, stream, self._hedge_after)
        async with aclosing(stream):
            while True:
                chunk, first = first or await live.next(stream), None
                if live.aborted and (chunk is None or chunk.finish is None):
                    yield Chunk("", (), FinishReason.ABORT)
                    return
                if chunk is None:
                    assert live.leave is not None
                    await self._tell(live)
                    raise live.leave
                if chunk.finish in _LOST and not live.aborted:
                    raise EngineError(f"the engine ended the request ({chunk.finish})")
                live.took(chunk.token_ids)
                yield chunk
                if chunk.finish is not None:
                    return

    async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
        """See ``SupportsFeeding``: by calls where the member feeds, else as ``generate``."""
        live = self._enter(request)
        try:
            while True:
                member = self._place(live)
                try:
                    return await self._fed(live, member, sink)
                except EngineError as error:
                    if not self._moves(live, error):
                        raise
                finally:
                    self._leave_member(live)
        finally:
            self._exit(live)

    async def _fed(self, live: PooledRequest, member: Member, sink: TokenSink) -> FinishReason:
        """Why it ended on a member.

        Raises:
            EngineError: the request is lost there, or is to leave it.
        """
        feeder = feeding(member.engine)
        if feeder is None or (self._hedge_after is not None and live.may_be_hedged):
            async with aclosing(self._attempt(live, member)) as chunks:
                async for chunk in chunks:
                    sink.put(chunk.text, chunk.token_ids, chunk.confidences)
                    if chunk.finish is not None:
                        return chunk.finish
            raise EngineError("the engine ended the request without a reason")
        finish = await feed(live, member, feeder, sink)
        if finish is None:
            if live.aborted:
                return FinishReason.ABORT
            assert live.leave is not None
            await self._tell(live)
            raise live.leave
        if finish in _LOST and not live.aborted:
            raise EngineError(f"the engine ended the request ({finish})")
        return finish

    async def abort(self, request_ids: Sequence[str]) -> None:
        """See ``Engine.abort``: each member hears of the requests that it has."""
        owned: dict[Member, list[str]] = defaultdict(list)
        for request_id in request_ids:
            if (live := self._live.get(request_id)) is not None:
                live.aborted = True
                for member, attempt in live.held:
                    owned[member].append(attempt)
        failures: list[Exception] = []

        async def abort(member: Member, attempts: Sequence[str]) -> None:
            try:
                await member.engine.abort(attempts)
            except EngineError:
                pass  # it is dead or closed, and runs nothing
            except Exception as error:  # noqa: BLE001 - raised below, after all were told
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for member, attempts in owned.items():
                tasks.start_soon(abort, member, attempts)
        if failures:
            raise failures[0]

    # ── without a race ────────────────────────────────────────────────────────────────────────

    async def scored(
        self, request: Generation, *, prompt: bool
    ) -> AsyncGenerator[ScoredChunk, None]:
        """See ``SupportsLogprobs``."""
        live = self._enter(request)
        try:
            member = self._place(live)
            engine = member.engine
            if not isinstance(engine, SupportsLogprobs):
                raise EngineError(f"{member.name} tells no log probabilities")
            async with aclosing(engine.scored(live.begin(member), prompt=prompt)) as chunks:
                async for chunk in chunks:
                    member.answered()
                    yield chunk
        finally:
            self._leave_member(live)
            self._exit(live)

    async def next_tokens(
        self, prompt: Sequence[int], k: int, request_id: str, priority: int
    ) -> Sequence[tuple[str, float]]:
        """See ``SupportsNextTokens``."""
        live = self._enter(Generation(request_id, tuple(prompt), 1, Sampling(), priority=priority))
        try:
            member = self._place(live)
            live.begin(member)
            engine = member.engine
            if not isinstance(engine, SupportsNextTokens):
                raise EngineError(f"{member.name} tells no log probabilities")
            return await engine.next_tokens(prompt, k, request_id=request_id, priority=priority)
        finally:
            self._leave_member(live)
            self._exit(live)

    # ── moving ────────────────────────────────────────────────────────────────────────────────

    def empty(self, member: Member) -> None:
        """Have all that runs on a member go on elsewhere, as far as it can: it stalls, or is to
        leave the pool. What cannot stays."""
        error = member.breaker.failure or EngineError(f"{member.name} serves no more")
        self._router.left(member)
        for live in list(member.live):
            if live.interrupted or live.hedge_member is not None or not self._time_left(live):
                continue
            if any(m.serves and m not in live.left and m is not member for m in self._members.all):
                live.leave = error
                live.interrupt()

    def leave(self, live: PooledRequest, error: EngineError) -> None:
        """Have a request go on at another replica of its member, if there is time."""
        if not live.interrupted and live.hedge_member is None and self._time_left(live):
            live.leave = error
            live.interrupt()

    def close(self) -> None:
        """End all."""
        for live in self._live.values():
            live.aborted = True
            live.interrupt()

    def _moves(self, live: PooledRequest, error: EngineError) -> bool:
        """Whether a request that ``error`` has ended on its member goes on elsewhere."""
        member = live.member
        assert member is not None
        if live.leave is None and not live.aborted and error.at_fault:
            if member.engine.failure is not None:
                member.breaker.trip(error)
            elif member.replicas == 1 or live.moves + 1 >= _TRIES * member.replicas:
                # Of several servers one that fails says nothing of the others.
                member.breaker.failed(error)
        if live.aborted or not error.at_fault or not self._time_left(live):
            return False
        live.moves += 1
        if member.replicas > 1:
            member.heard.pop(live.session or live.request.race, None)
            self._router.lost(live.request, live.session, member.heard)
        if live.moves >= _TRIES * member.replicas or member.replicas == 1:
            live.left.append(member)
        if not any(m.serves and m not in live.left for m in self._members.all):
            return False
        member.moved_away += 1
        _log.info(
            "frontrunner.request_moved",
            member=member.name,
            request=live.request.request_id,
            tokens=len(live.generated),
            error=str(error),
        )
        return True

    def _time_left(self, live: PooledRequest) -> bool:
        left = live.request.deadline - anyio.current_time()
        return left > 0 and len(live.generated) < live.request.max_tokens

    # ── members ───────────────────────────────────────────────────────────────────────────────

    def _enter(self, request: Generation) -> PooledRequest:
        _ = self._members.info  # raises if the pool is not running
        live = self._live[request.request_id] = PooledRequest(request)
        return live

    def _exit(self, live: PooledRequest) -> None:
        if self._live.get(live.request.request_id) is live:
            del self._live[live.request.request_id]

    def _place(self, live: PooledRequest) -> Member:
        """
        Raises:
            EngineError: no member can take it.
        """
        member = self._router.place(live.request, self._members.all, live.left)
        if member is None:
            raise self._members.failure or EngineError("no other member of the pool can take it")
        member.live.add(live)
        live.member = member
        live.session = self._router.session(live.request) if member.replicas > 1 else ""
        return member

    def _leave_member(self, live: PooledRequest) -> None:
        member = live.member
        if member is not None:
            live.member = None
            member.lose(live)
            self._router.ended(live.request)

    async def _hedged(
        self, live: PooledRequest, stream: AsyncGenerator[Chunk, None], after: float
    ) -> tuple[AsyncGenerator[Chunk, None], Chunk | None]:
        def second() -> Member | None:
            return self._second(live)

        def moved(member: Member) -> None:
            self._router.moved(live.request, member)

        return await Hedge(live, stream, after, second, moved).run()

    async def _tell(self, live: PooledRequest) -> None:
        """End a request on the member that it leaves, if that one still hears of it."""
        member = live.member
        assert member is not None
        with anyio.move_on_after(_ABORT_LIMIT, shield=True):
            try:
                await member.engine.abort([live.attempt])
            except EngineError:
                return  # it is dead or closed, and runs nothing

    def _second(self, live: PooledRequest) -> Member | None:
        """Where else it may be begun."""
        spare = [
            m for m in self._members.serving if m is not live.member and m.free > 0 and m.takes_new
        ]
        return least_loaded(spare, self._members.all) if spare else None
