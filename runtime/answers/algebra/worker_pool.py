"""The processes that give formulas their keys, and can be killed while they do.

Answers are hostile input: one of 20 characters can keep a computer algebra system busy for longer
than the universe lasts, in C code that no thread and no signal handler interrupts. So they are
read in worker processes, each formula under a time limit, and a worker that exceeds it is killed
and replaced.

Why not `anyio.to_process`, which kills too? Its workers import the user's `__main__` again, which
may well load a model; and idle ones belong to the event loop and outlive whoever used them. Ours
run `worker_main.py` alone and end with their pool.
"""

from collections import deque
from enum import Enum
from math import inf
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import structlog

from .worker_process import REAP_LIMIT_S, START_LIMIT_S, WorkerLostError, WorkerProcess

DEFAULT_TIMEOUT_S = 1.0
DEFAULT_WORKERS = 2
# Long enough for workers that hostile answers hold to be killed and replaced. Whoever has less time
# stops waiting by itself: a race's answers count by their spelling when it is called.
DEFAULT_PATIENCE_S = 5.0
# Chosen, not measured: with a second per formula and 0.7 s of processor time per start, hostile
# answers alone can take one processor for about half of each minute and no more. (A formula that
# was abandoned ends by its own limit of processor time, `worker.CPU_LIMIT_S`, if nobody comes.)
DEFAULT_KILLS_PER_MINUTE = 20
# Getting ready takes 0.7 s (python, sympy), ten times that on a busy machine with a cold disk.
READY_LIMIT_S = 30.0
# Far more than `MAX_PARSED_CHARS`; it bounds what is encoded on the event loop.
MAX_REQUEST_CHARS = 16_384

_READING_S = 0.1
_TOO_LONG = "exceeded its time"

_log = structlog.get_logger("frontrunner.answers")


class NoKey(Enum):
    """Why a formula has no key."""

    UNREADABLE = "no formula that the parser knows"
    EXCEEDED = "took too long, or killed its worker"
    NO_WORKER = "no worker was free in time"


class WorkerPool:
    """At most `max_workers` processes that read formulas, started when first needed.

    It belongs to the event loop that it is first used in. Close it: an async context manager does.

    Who holds what: a formula holds one slot for as long as it touches a worker, and takes that
    worker out of `_idle` meanwhile. There are as many slots as workers, so a formula that has a
    slot but finds none idle may start one; and whoever holds all slots, as `aclose` does, knows
    that nobody touches a worker. No task of its own runs between formulas: a worker gets ready,
    or done, by itself, and the next formula finds it so. One that dies idle stays in the process
    table until the next formula, too.
    """

    def __init__(
        self,
        max_workers: int = DEFAULT_WORKERS,
        *,
        max_kills_per_minute: int = DEFAULT_KILLS_PER_MINUTE,
    ) -> None:
        """Make a pool without any process yet.

        Args:
            max_workers: The most processes at a time, each up to 512 MiB and one processor.
            max_kills_per_minute: With this many workers killed or lost within a minute, those that
                are left go on, and new ones are started only as often as on average allows
                (one in 3 seconds with 20); `key` declines at once where there is none.

        Raises:
            ValueError: If there would be no worker or no kill.
        """
        if max_workers < 1 or max_kills_per_minute < 1:
            raise ValueError("max_workers and max_kills_per_minute must be at least 1")
        self._max_workers = max_workers
        self._max_kills = max_kills_per_minute
        self._slots = anyio.Semaphore(max_workers)
        self._workers: set[WorkerProcess] = set()
        self._starting = 0
        # Those that are not ready yet or still at work first, the last used last.
        self._idle: list[WorkerProcess] = []
        self._lost_at: deque[float] = deque()  # `anyio.current_time()`
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def key(
        self,
        formula: str,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        patience_s: float = DEFAULT_PATIENCE_S,
    ) -> str | NoKey:
        """Return the key of a formula, or why there is none. It raises nothing.

        Args:
            formula: LaTeX without dollar signs.
            timeout_s: The limit for the formula itself, in seconds.
            patience_s: How long to wait for a worker that is free and ready, in seconds. One that
                was started goes on getting ready, for later calls.

        Cancelling it leaves the worker at its formula, which most likely ends soon: races are
        called while answers are being compared, and a new worker costs far more. Whoever needs it
        next waits for that, until the formula's own time is over; then the worker is killed.
        """
        await anyio.lowlevel.checkpoint()
        if len(formula) > MAX_REQUEST_CHARS:
            return NoKey.UNREADABLE
        if self._declines():
            return NoKey.NO_WORKER
        with anyio.move_on_after(patience_s) as waiting:
            async with self._slots:
                worker = await self._take()
                if worker is None:
                    return NoKey.NO_WORKER
                waiting.deadline = inf
                deadline = anyio.current_time() + timeout_s
                with anyio.CancelScope(deadline=deadline):
                    return await self._ask(worker, formula, deadline)
                return NoKey.EXCEEDED
        return NoKey.NO_WORKER

    async def warm_up(self, timeout_s: float = READY_LIMIT_S) -> bool:
        """Start all workers; return whether all were ready within `timeout_s` seconds.

        Cancelling it leaves the workers getting ready, for later calls.
        """
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as tasks:
                for _ in range(self._max_workers):
                    tasks.start_soon(self._warm_up_one)
        return sum(worker.ready for worker in self._workers) == self._max_workers

    async def aclose(self) -> None:
        """Kill all workers and wait for their end. A closed pool stays closed.

        Formulas that are under way get no key. Cancelling it does not cut it short.
        """
        self._closed = True
        for worker in self._workers:
            worker.kill()
        held = 0
        # Those who hold a slot see the end of their worker, and bury it within these limits.
        with anyio.move_on_after(START_LIMIT_S + REAP_LIMIT_S, shield=True):
            while held < self._max_workers:
                await self._slots.acquire()
                held += 1
        self._idle.clear()
        while self._workers:
            await self._workers.pop().aclose()
        for _ in range(held):
            self._slots.release()

    async def _take(self) -> WorkerProcess | None:
        """Return a worker that is ready, or None; needs a slot."""
        while self._idle and not self._closed:
            worker = self._idle.pop()
            if worker.has_died:
                await self._discard(worker, "died idle")
            elif not worker.ready and anyio.current_time() > worker.started_at + READY_LIMIT_S:
                await self._discard(worker, "was never ready")
            else:
                return await self._until_ready(worker)
        worker = await self._start()
        return None if worker is None else await self._until_ready(worker)

    async def _start(self) -> WorkerProcess | None:
        if self._closed or not self._may_start():
            return None
        self._starting += 1
        try:
            worker = await WorkerProcess.start()
        except WorkerLostError as lost:
            self._count_loss(str(lost))
            return None
        finally:
            self._starting -= 1
        if self._closed:  # meanwhile
            await worker.aclose()
            return None
        self._workers.add(worker)
        return worker

    async def _until_ready(self, worker: WorkerProcess) -> WorkerProcess | None:
        limit = anyio.CancelScope()
        if worker.at_work:
            # A key that has long been there is read in no time, but not in none.
            limit.deadline = max(worker.due, anyio.current_time() + _READING_S)
        try:
            with limit:
                await worker.until_ready()
        except WorkerLostError as lost:
            await self._discard(worker, f"{lost} before it was ready")
            return None
        except anyio.get_cancelled_exc_class():
            # Whoever comes next goes on waiting for it.
            self._idle.insert(0, worker)
            raise
        if limit.cancelled_caught:
            await self._discard(worker, _TOO_LONG)
            return None
        return worker

    async def _ask(self, worker: WorkerProcess, formula: str, deadline: float) -> str | NoKey:
        try:
            key = await worker.key_of(formula, deadline)
        except WorkerLostError as lost:
            await self._discard(worker, str(lost))
            return NoKey.EXCEEDED
        except anyio.get_cancelled_exc_class():
            if anyio.current_time() >= deadline:
                await self._discard(worker, _TOO_LONG)
            else:
                self._idle.insert(0, worker)
            raise
        self._idle.append(worker)
        return NoKey.UNREADABLE if key is None else key

    async def _warm_up_one(self) -> None:
        async with self._slots:
            if self._declines():
                return
            worker = next((idle for idle in self._idle if not idle.ready), None)
            if worker is not None:
                self._idle.remove(worker)
            elif len(self._workers) + self._starting < self._max_workers:
                worker = await self._start()
            if worker is not None and await self._until_ready(worker) is not None:
                self._idle.append(worker)

    async def _discard(self, worker: WorkerProcess, reason: str) -> None:
        """Kill a worker that nobody may use again; needs its slot."""
        self._workers.discard(worker)
        if not self._closed:
            self._count_loss(reason)
        await worker.aclose()

    def _count_loss(self, reason: str) -> None:
        self._lost_at.append(anyio.current_time())
        _log.warning(
            "frontrunner.answer_worker_killed", reason=reason, declines_now=self._declines()
        )

    def _declines(self) -> bool:
        """Return whether no formula is begun now: closed, or no worker and none may be started."""
        return self._closed or (not self._workers and not self._may_start())

    def _may_start(self) -> bool:
        """Return whether losses are few enough for one more worker: hostile answers may cost no
        more processor time, whoever sends them, and yet lock nobody out for long."""
        now = anyio.current_time()
        while self._lost_at and self._lost_at[0] < now - 60:
            self._lost_at.popleft()
        few = len(self._lost_at) < self._max_kills
        return few or now - self._lost_at[-1] >= 60 / self._max_kills
