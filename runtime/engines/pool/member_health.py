"""Looks after the members of a pool while it runs.

A member that has work and gives no token for longer than it should has stalled: its process lives,
and says nothing. Its branches go on elsewhere. One that failed or stalled gets no more requests
until it has proved that it serves: a request of one token, after pauses that double.
"""

from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from ...errors import EngineError
from ..protocol import Engine, Generation, RunsBeside, Sampling
from .member import Member, Phase, PooledRequest
from .members import Members

_log = structlog.get_logger("frontrunner.engine")

#: Seconds between two looks at the members.
_LOOK = 0.05
#: Seconds that aborting a trial takes at most.
_ABORT_LIMIT = 0.5


class Movable(Protocol):
    """What runs on the members."""

    def empty(self, member: Member) -> None:
        """Have what runs on ``member`` go on elsewhere."""
        ...

    def leave(self, live: PooledRequest, error: EngineError) -> None:
        """Have a request go on at another replica of its member."""
        ...


class Health:
    """Looks after the members of one pool."""

    def __init__(self, members: Members, requests: Movable, stall_after: float) -> None:
        """
        Args:
            stall_after: see ``PoolEngine``.
        """
        self._members = members
        self._requests = requests
        self._stall_after = stall_after
        self._trials = 0
        self._trying = set[Member]()
        self._beside = dict[Member, anyio.CancelScope]()

    async def run(self) -> None:
        """Look after them until cancelled."""
        async with anyio.create_task_group() as tasks:
            looked = anyio.current_time()
            while True:
                await anyio.sleep(_LOOK)
                now = anyio.current_time()
                # Where our own event loop stood still, nobody could be heard.
                self.look(late=max(0.0, now - looked - _LOOK))
                looked = now
                self._tend(tasks)
                for member in self._members.all:
                    if self._trial_due(member) and member not in self._trying:
                        self._trying.add(member)
                        tasks.start_soon(self._try, member)

    @staticmethod
    def _trial_due(member: Member) -> bool:
        """Whether a member is to prove that it serves. One that says itself that it does not, since
        it is just started again, would only make the pauses between trials longer."""
        if not member.breaker.trial_due or member.phase is Phase.GONE:
            return False
        return member.phase is Phase.STARTING or member.engine.failure is None

    def look(self, late: float = 0.0) -> None:
        """Find the members that have stalled, or died.

        Args:
            late: seconds by which this comes later than it should.
        """
        for member in self._members.started:
            member.told += late
            failure = member.engine.failure
            if failure is not None and member.breaker.closed:
                member.breaker.trip(failure)
            if member.replicas > 1:
                self._look_behind(member, late)
                continue
            limit = member.pace.stall_limit(self._stall_after, member.stall_prompt)
            if member.silence > limit and member.breaker.closed:
                said = f"no token for {member.silence:.2f} s"
                _log.warning("frontrunner.member_stalled", member=member.name, error=said)
                member.breaker.trip(EngineError(said))
            if not member.breaker.closed and member.waiting and member.silence > limit:
                self._requests.empty(member)

    def _look_behind(self, member: Member, late: float) -> None:
        """Find the requests whose replica has stalled, of a member with several: that others get
        tokens there says nothing."""
        for live in list(member.live):
            if live.stalls(self._stall_after, late):
                self._requests.leave(live, EngineError("its replica gave no token in time"))

    def _tend(self, tasks: TaskGroup) -> None:
        """Have the members do their own work, each for as long as it belongs to the pool."""
        started = self._members.started
        for member in [member for member in self._beside if member not in started]:
            self._beside.pop(member).cancel()
        for member in started:
            if member not in self._beside and isinstance(member.engine, RunsBeside):
                self._beside[member] = anyio.CancelScope()
                tasks.start_soon(self._run_beside, member.engine, self._beside[member])

    async def _run_beside(self, engine: RunsBeside, scope: anyio.CancelScope) -> None:
        with scope:
            await engine.run_beside()

    async def _try(self, member: Member) -> None:
        """Have a member prove that it serves."""
        member.breaker.begin_trial()
        try:
            if member.phase is Phase.STARTING:
                await self._members.try_again(member)
            else:
                with anyio.fail_after(self._stall_after):
                    await self._ask(member.engine)
                member.answered()
                _log.info("frontrunner.member_recovered", member=member.name)
        except TimeoutError:
            member.breaker.failed(EngineError(f"no token for {self._stall_after:g} s"))
        except EngineError as error:
            member.breaker.failed(error)
        except Exception as error:  # noqa: BLE001 - whatever an engine raises, it does not serve
            _log.exception("frontrunner.member_trial_failed", member=member.name)
            member.breaker.failed(EngineError(type(error).__name__))
        finally:
            self._trying.discard(member)

    async def _ask(self, engine: Engine) -> None:
        """Have one token written; raises what the engine does, unless it is written."""
        self._trials += 1
        name = f"pool-trial-{self._trials}"
        request = Generation(name, engine.encode("1"), max_tokens=1, sampling=Sampling())
        stream = engine.generate(request)
        try:
            async for _ in stream:
                pass
        finally:
            with anyio.move_on_after(_ABORT_LIMIT, shield=True):
                await stream.aclose()
                await engine.abort([name])
