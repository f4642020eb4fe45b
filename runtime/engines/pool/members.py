"""Who belongs to a pool, and how members come and go while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol, runtime_checkable

import anyio
import structlog

from ...errors import (
    BadRequest,
    EngineClosed,
    EngineError,
    EngineRestarting,
    EngineStartError,
)
from ..protocol import Engine, EngineInfo
from .alike import check_alike, has_token_ids
from .member import Member, Phase

_log = structlog.get_logger("frontrunner.engine")


@dataclass(frozen=True, slots=True)
class MemberReport:
    """How a member of a pool is."""

    name: str
    phase: Phase
    serves: bool  # whether requests are sent to it
    trouble: str | None  # why not, if it should
    slots: int  # requests that it runs at once; 0: it has not started
    running: int  # requests of the pool's
    token_seconds: float | None  # that a branch takes for a token there; None: not measured
    trips: int  # times that it was given up
    moved_away: int  # requests that began elsewhere since they were lost here


@runtime_checkable
class HasMembers(Protocol):
    """An engine of several."""

    def members(self) -> list[MemberReport]:
        """How each of them is."""
        ...


class Members:
    """The members of one pool, in their order."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.all = [Member(name, engine) for name, engine in engines.items()]
        self._info: EngineInfo | None = None
        self._speaker: Member | None = None

    @property
    def started(self) -> list[Member]:
        """Those whose engines run, or did."""
        return [m for m in self.all if m.phase in (Phase.ACTIVE, Phase.DRAINING)]

    @property
    def serving(self) -> list[Member]:
        return [m for m in self.all if m.serves]

    @property
    def info(self) -> EngineInfo:
        """What all of them are together."""
        if self._info is None:
            raise EngineClosed("the pool is not running")
        return self._info

    @property
    def speaker(self) -> Engine:
        """The engine that encodes: one that knows the model's tokens, and serves, if there is
        any."""
        if self._info is None or self._speaker is None:
            raise EngineClosed("the pool is not running")
        if not self._speaker.serves:
            self._speaker = self._best_speaker()
        return self._speaker.engine

    @property
    def failure(self) -> EngineError | None:
        """Why nothing can be served; None while one member can. ``EngineRestarting`` while one of
        them will be back by itself."""
        if self._info is None:
            return EngineClosed("the pool is not running")
        if any(member.serves for member in self.all):
            return None
        said = "; ".join(f"{m.name}: {m.trouble or m.phase.value}" for m in self.all)
        failures = [m.engine.failure for m in self.started]
        restarting = [f for f in failures if isinstance(f, EngineRestarting)]
        if restarting:
            first = min(restarting, key=lambda failure: failure.retry_after)
            why = first.why if len(self.all) == 1 else f"no member of the pool serves: {first.why}"
            return EngineRestarting(why, first.retry_after)
        return EngineError(f"no member of the pool can serve ({said})")

    def named(self, name: str) -> Member:
        """
        Raises:
            BadRequest: there is none of this name.
        """
        for member in self.all:
            if member.name == name:
                return member
        known = ", ".join(m.name for m in self.all)
        raise BadRequest(f"the pool has no member {name!r}: {known}", "member")

    def reports(self) -> list[MemberReport]:
        return [
            MemberReport(
                name=m.name,
                phase=m.phase,
                serves=m.serves,
                trouble=m.trouble,
                slots=m.slots if m in self.started else 0,
                running=len(m.live),
                token_seconds=m.pace.seconds,
                trips=m.breaker.trips,
                moved_away=m.moved_away,
            )
            for m in self.all
        ]

    # ── coming ────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Start all; those that cannot are left for later (``try_again``) if one does.

        Raises:
            EngineStartError: none started, or those that did differ.
        """
        failures: dict[str, EngineError] = {}

        async def start(member: Member) -> None:
            try:
                await member.engine.start()
            except EngineError as error:
                failures[member.name] = error
                member.breaker.trip(error)

        async with anyio.create_task_group() as tasks:
            for member in self.all:
                tasks.start_soon(start, member)
        up = [m for m in self.all if m.name not in failures]
        if not up:
            said = "; ".join(f"{name}: {error}" for name, error in failures.items())
            raise EngineStartError(f"no member of the pool started: {said}")
        for name, error in failures.items():
            _log.warning("frontrunner.member_not_started", member=name, error=str(error))
        for place, member in enumerate(up):
            await check_alike(up[:place], member)
        for member in up:
            member.phase = Phase.ACTIVE
        self._changed()

    async def try_again(self, member: Member) -> None:
        """Start a member that could not be started.

        Raises:
            EngineError: it still cannot, or it is not like the others.
        """
        await member.engine.start()
        try:
            await check_alike(self.started, member)
            if member.phase is not Phase.STARTING:  # it was to leave meanwhile
                raise EngineClosed(f"{member.name} has left the pool")
        except BaseException:
            with anyio.CancelScope(shield=True):
                await member.engine.aclose()
            raise
        member.phase = Phase.ACTIVE
        member.breaker.succeeded()
        self._changed()
        _log.info("frontrunner.member_joined", member=member.name)

    async def join(self, name: str, engine: Engine) -> None:
        """Start ``engine`` and take it in.

        Raises:
            BadRequest: there is a member of this name.
            EngineStartError: it did not start, or it is not like the others; it was closed.
        """
        if any(member.name == name for member in self.all):
            raise BadRequest(f"the pool has a member {name!r} already", "member")
        member = Member(name, engine)
        self.all.append(member)
        try:
            await self.try_again(member)
        except BaseException:
            self.all.remove(member)
            raise

    # ── going ─────────────────────────────────────────────────────────────────────────────────

    async def drain(self, name: str, seconds: float = inf) -> bool:
        """Send it no new races, and wait until those that it has are over, ``seconds`` at most;
        returns whether they are.

        Raises:
            BadRequest: there is no such member.
        """
        member = self.named(name)
        if member.phase is Phase.ACTIVE:
            member.phase = Phase.DRAINING
            self._changed()
        with anyio.move_on_after(seconds):
            while member.live:
                await member.emptied.wait()
        return not member.live

    def resume(self, name: str) -> None:
        """Send races again to a member that was drained.

        Raises:
            BadRequest: there is no such member.
        """
        member = self.named(name)
        if member.phase is Phase.DRAINING:
            member.phase = Phase.ACTIVE
            self._changed()

    async def remove(self, member: Member) -> None:
        """Close a member and forget it."""
        member.phase = Phase.GONE
        if member in self.all:
            self.all.remove(member)
        self._changed()
        await member.engine.aclose()

    async def aclose(self) -> None:
        """Close all. Cancelling it does not cut that short."""
        self._info = None
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for member in self.all:
                    member.phase = Phase.GONE
                    tasks.start_soon(member.engine.aclose)

    def _changed(self) -> None:
        started = self.started
        if not started:
            return
        # Members that were taken for alike differ in what is left, as far as that matters.
        infos = [m.engine.info for m in started]
        speaker = self._speaker = self._best_speaker()
        self._info = replace(
            speaker.engine.info,
            name="pool",
            max_branches=sum(info.max_branches for info in infos),
            prefill_tokens_per_step=min(info.prefill_tokens_per_step for info in infos),
            cache_block_tokens=max(info.cache_block_tokens for info in infos),
            seeded=all(info.seeded for info in infos),
            logprobs=all(info.logprobs for info in infos),
            thinking_budgets=all(info.thinking_budgets for info in infos),
        )

    def _best_speaker(self) -> Member:
        return max(self.started, key=lambda m: (has_token_ids(m.engine), m.serves))
