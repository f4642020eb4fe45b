"""One engine of a pool, and a request while it runs on one."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import TypeVar

import anyio

from ...errors import EngineError
from ..breaker import Breaker
from ..protocol import Engine, Generation, HasReplicas
from .pace import Pace

T = TypeVar("T")

#: Sessions of a member that are remembered.
_SESSIONS = 256


class Phase(StrEnum):
    """Where a member stands."""

    STARTING = "starting"
    """It has not answered yet."""
    ACTIVE = "active"
    """It takes what comes."""
    DRAINING = "draining"
    """It keeps the races that it has, and takes no new ones."""
    GONE = "gone"
    """It takes nothing any more."""


@dataclass(slots=True, eq=False)
class Member:
    """One engine of a pool."""

    name: str
    engine: Engine
    phase: Phase = Phase.STARTING
    breaker: Breaker = field(default_factory=Breaker)
    pace: Pace = field(default_factory=Pace)
    live: set["PooledRequest"] = field(default_factory=set["PooledRequest"])
    told: float = 0.0  # when it gave its last token, or its work began (anyio clock)
    waiting: int = 0  # requests that wait for it to say something
    heard: dict[str, float] = field(default_factory=dict[str, float])
    """When each session brought its last token (anyio clock), of a member of several replicas."""
    moved_away: int = 0  # requests that were lost on it, or taken from it, and began elsewhere
    emptied: anyio.Event = field(default_factory=anyio.Event)  # set when ``live`` gets empty

    @property
    def may_serve(self) -> bool:
        """Whether it has started, and says that it can serve."""
        ready = self.phase in (Phase.ACTIVE, Phase.DRAINING)
        return ready and self.engine.failure is None

    @property
    def serves(self) -> bool:
        """Whether requests may be sent to it: it has not failed or stalled of late."""
        return self.breaker.closed and self.may_serve

    @property
    def slots(self) -> int:
        return self.engine.info.max_branches

    @property
    def free(self) -> int:
        """Requests that it would run at once beside those that it has."""
        return self.slots - len(self.live)

    @property
    def replicas(self) -> int:
        """Servers behind it."""
        return self.engine.replicas if isinstance(self.engine, HasReplicas) else 1

    @property
    def silence(self) -> float:
        """Seconds for which the requests that wait for a token have waited for the first of
        them; 0: none waits."""
        return anyio.current_time() - self.told if self.waiting else 0.0

    @property
    def stall_prompt(self) -> int:
        """Tokens of the longest prompt that it may be reading; 0: it reads none."""
        reading = (len(x.request.prompt) + len(x.generated) for x in self.live if x.last is None)
        return max(reading, default=0)

    @property
    def trouble(self) -> str | None:
        """Why it serves nobody, in words that name no host; None: it does."""
        failure = self.breaker.failure or self.engine.failure
        if self.phase is Phase.STARTING:
            return f"not started ({failure})" if failure is not None else "not started"
        return str(failure) if failure is not None else None

    @property
    def takes_new(self) -> bool:
        """Whether races may begin on it."""
        return self.phase is Phase.ACTIVE

    @contextmanager
    def awaited(self) -> Generator[None, None, None]:
        """Around waiting for it to say something."""
        if not self.waiting:
            self.told = anyio.current_time()
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    def hear(self, session: str, now: float) -> None:
        """A session brought a token."""
        self.heard[session] = now
        if len(self.heard) > _SESSIONS:
            last = sorted(self.heard.items(), key=lambda entry: entry[1])[_SESSIONS // 2 :]
            self.heard = dict(last)

    def lose(self, live: "PooledRequest") -> None:
        """``live`` runs on it no more."""
        self.live.discard(live)
        if not self.live:
            self.emptied.set()
            self.emptied = anyio.Event()

    def answered(self) -> None:
        """It gave a token."""
        self.told = anyio.current_time()
        if not self.breaker.closed or self.breaker.failures:
            self.breaker.succeeded()


@dataclass(slots=True, eq=False)
class PooledRequest:
    """A request of whoever uses the pool; it may run on one member after the other."""

    request: Generation
    member: Member | None = None  # that has it now
    attempt: str = ""  # its id there
    generated: list[int] = field(default_factory=list[int])  # (num_tokens,)
    left: list[Member] = field(default_factory=list[Member])  # where it was lost for good
    moves: int = 0  # times that it was lost, or left its member
    session: str = ""  # that it runs under on a member of several replicas; empty: its race's name
    asked_at: float | None = None  # since when it waits for its member (anyio clock)
    aborted: bool = False
    leave: EngineError | None = None  # why it is to leave its member
    began: float = 0.0  # when its attempt did (anyio clock)
    last: float | None = None  # when its attempt brought its last tokens
    scope: anyio.CancelScope | None = None  # around what it waits for
    hedge_member: Member | None = None  # that has it too, until one of the two speaks
    hedge_attempt: str = ""  # its id there

    def begin(self, member: Member) -> Generation:
        """What ``member`` is asked for: to go on from the exact tokens that there are."""
        request, moves, done = self.request, self.moves, len(self.generated)
        self.member, self.leave, self.last = member, None, None
        self.began = anyio.current_time()
        self.attempt = request.request_id
        if moves:
            # An id of its own: the member may still have it from before.
            self.attempt = f"{request.request_id}-moved{moves}"
            request = replace(request, request_id=self.attempt)
        if self.session and request.race:  # the member's router sends it to another replica
            request = replace(request, race=self.session)
        if done:
            # The same seed would draw the same numbers again.
            seed = None if request.seed is None else _reseeded(request.seed, done)
            request = replace(
                request,
                prompt=(*request.prompt, *self.generated),
                max_tokens=request.max_tokens - done,
                seed=seed,
            )
        return request

    def took(self, token_ids: Sequence[int]) -> None:
        """Its member said something."""
        member, now, tokens = self.member, anyio.current_time(), len(token_ids)
        assert member is not None
        member.answered()
        if not tokens:
            return
        if self.last is None:
            member.pace.began(now - self.began, len(self.request.prompt))
        else:
            member.pace.took(now - self.last, tokens)
        self.last = now
        if member.replicas > 1 and self.request.race:
            member.hear(self.session or self.request.race, now)
        self.generated.extend(token_ids)

    async def next(self, stream: AsyncGenerator[T, None]) -> T | None:
        """What the stream brings next; None: it is to be left.

        Raises:
            EngineError: it ended without a reason, or is lost.
        """
        if self.interrupted:
            return None
        member = self.member
        assert member is not None
        try:
            self.asked_at = anyio.current_time()
            with member.awaited(), anyio.CancelScope() as self.scope:
                return await anext(stream)
        except StopAsyncIteration:
            raise EngineError("the engine ended the request without a reason") from None
        except EngineError:
            if not self.interrupted:  # else it is only that its stream was closed
                raise
        finally:
            self.scope = self.asked_at = None
        return None

    def stalls(self, longest: float, late: float) -> bool:
        """Whether it has waited longer for a token than it would of a replica that serves.

        Args:
            longest: see ``Pace.stall_limit``.
            late: seconds in which nobody could be heard.
        """
        if self.asked_at is None or self.member is None:
            return False
        self.asked_at += late
        reading = 0 if self.last is not None else len(self.request.prompt) + len(self.generated)
        limit = self.member.pace.stall_limit(longest, reading)
        return anyio.current_time() - self.asked_at > limit

    @property
    def may_be_hedged(self) -> bool:
        """Whether it is the first request of a race, which has said nothing yet."""
        request = self.request
        first = bool(request.race) and request.branch == 0 and not request.forced
        return first and not self.generated and not self.moves and not self.interrupted

    def hedge(self, member: Member) -> Generation:
        """What a second member is asked for."""
        self.hedge_member, self.hedge_attempt = member, f"{self.request.request_id}-hedge"
        member.live.add(self)
        return replace(self.request, request_id=self.hedge_attempt)

    def end_hedge(self, winner: Member) -> None:
        """It runs on ``winner`` alone."""
        first, second = self.member, self.hedge_member
        assert first is not None
        assert second is not None
        if winner is second:
            self.member, self.attempt = second, self.hedge_attempt
        self.hedge_member, self.hedge_attempt = None, ""
        (first if winner is second else second).lose(self)

    @property
    def held(self) -> list[tuple[Member, str]]:
        """The members that have it, each with its id there."""
        held = [(self.member, self.attempt), (self.hedge_member, self.hedge_attempt)]
        return [(member, attempt) for member, attempt in held if member is not None]

    @property
    def interrupted(self) -> bool:
        return self.aborted or self.leave is not None

    def interrupt(self) -> None:
        """End its waiting."""
        if self.scope is not None:
            self.scope.cancel()


def _reseeded(seed: int, tokens: int) -> int:
    key = f"{seed}/after/{tokens}".encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest()) >> 1
