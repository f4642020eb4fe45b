"""The processes that compare mathematical expressions, and can be killed while they do.

Answers are hostile input: one of 20 characters can keep a computer algebra system busy for longer
than the universe lasts, in C code that no thread and no signal handler interrupts. So they are
compared in worker processes, each comparison under one time limit, and a worker that exceeds it is
killed and replaced.

Why not `anyio.to_process`, which kills too? Its workers import the user's `__main__` again, which
may well load a model; and idle ones belong to the event loop and outlive whoever used them. Ours
run `worker.py` alone and end with their pool.
"""

import json
import os
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

DEFAULT_TIMEOUT_S = 1.0
DEFAULT_WORKERS = 2
# Chosen, not measured: with a second per comparison and half a second per start, two workers that
# are killed all the time are stopped before they have taken one processor for half of each minute.
DEFAULT_KILLS_PER_MINUTE = 20
# Starting takes half a second (python, sympy), ten times that on a busy machine with a cold disk.
START_LIMIT_S = 30.0
# Forking and executing, without waiting for the program; and the kernel's work after SIGKILL.
OPEN_LIMIT_S = 5.0
REAP_LIMIT_S = 2.0
# Of a comparison's time limit. With less left when its turn comes it is not begun: it would most
# likely end in killing a healthy worker, and the next in the queue would wait for a new one.
LEAST_WORKING_SHARE = 0.25
# The largest expressions that callers should send have `MAX_PARSED_CHARS`.
MAX_REQUEST_CHARS = 16_384
_MAX_REPLY_BYTES = 4_096
_PROGRAM = Path(__file__).with_name("worker.py")
# What a python needs to find its libraries. The rest, such as tokens, is no business of a process
# that reads hostile text.
_ENVIRONMENT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "VIRTUAL_ENV")
# How the death of a process shows on its pipes, and what a reply of no sense raises.
_LOST = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.DelimiterNotFound,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    LookupError,
    ValueError,
)

_log = structlog.get_logger("frontrunner.answers")


@dataclass(slots=True, eq=False)
class _Worker:
    process: Process
    requests: ByteSendStream
    replies: BufferedByteReceiveStream
    started_at: float  # `anyio.current_time()`
    ready: bool = False
    asked: int = 0  # how many comparisons; the last one's id

    async def reply(self) -> dict[str, object]:
        line = await self.replies.receive_until(b"\n", _MAX_REPLY_BYTES)
        return json.loads(line)


class WorkerPool:
    """At most `max_workers` processes that compare expressions, started when first needed.

    It belongs to the event loop that it is first used in. Close it: an async context manager does.

    Who holds what: a comparison holds one slot for as long as it touches a worker, and takes that
    worker out of `_idle` meanwhile. There are as many slots as workers, so a comparison that has a
    slot but finds none idle may start one; and whoever holds all slots, as `aclose` does, knows
    that nobody touches a worker. No task of its own runs between comparisons: a worker starts up
    by itself, and the next comparison finds it ready.
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
            max_kills_per_minute: With this many workers killed or lost within a minute, `verify`
                answers None at once until the first of them is a minute ago.

        Raises:
            ValueError: If there would be no worker or no kill.
        """
        if max_workers < 1 or max_kills_per_minute < 1:
            raise ValueError("max_workers and max_kills_per_minute must be at least 1")
        self._max_workers = max_workers
        self._max_kills = max_kills_per_minute
        self._slots = anyio.Semaphore(max_workers)
        self._workers: set[_Worker] = set()
        self._opening = 0
        self._idle: list[_Worker] = []  # those that still start up first, the last used last
        self._killed_at: deque[float] = deque()  # `anyio.current_time()`
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

    async def verify(self, a: str, b: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> bool | None:
        """Return whether two expressions are mathematically equal, or None if nobody could tell.

        Nobody can if the comparison takes too long or kills its worker, if no worker is free or
        started up in time (a started one goes on starting up, for later calls), if too many had
        to be killed in the last minute, and in a closed pool. It raises nothing.

        Args:
            a: An expression in LaTeX without dollar signs, such as `Canonical.form`.
            b: Another. The order does not matter.
            timeout_s: The limit for all of it, in seconds: waiting for a worker, its start and
                the comparison. The return comes milliseconds later at most.

        Cancelling it kills the worker if that was comparing, which counts as a kill.
        """
        await anyio.lowlevel.checkpoint()
        if len(a) + len(b) > MAX_REQUEST_CHARS or self._declines():
            return None
        deadline = anyio.current_time() + timeout_s
        with anyio.CancelScope(deadline=deadline):
            async with self._slots:
                worker = await self._take()
                if worker is None:
                    return None
                if deadline - anyio.current_time() < LEAST_WORKING_SHARE * timeout_s:
                    self._idle.append(worker)
                    return None
                return await self._ask(worker, a, b)
        return None

    async def warm_up(self, timeout_s: float = START_LIMIT_S) -> bool:
        """Start all workers; return whether all were ready within `timeout_s` seconds.

        Cancelling it leaves the workers starting up, for later calls.
        """
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as tasks:
                for _ in range(self._max_workers):
                    tasks.start_soon(self._warm_up_one)
        return sum(worker.ready for worker in self._workers) == self._max_workers

    async def aclose(self) -> None:
        """Kill all workers and wait for their end. A closed pool stays closed.

        Comparisons that are under way return None. Cancelling it does not cut it short.
        """
        self._closed = True
        for worker in self._workers:
            _kill(worker)
        held = 0
        # Those who hold a slot see the end of their worker, and have `REAP_LIMIT_S` to bury it.
        with anyio.move_on_after(OPEN_LIMIT_S + REAP_LIMIT_S, shield=True):
            while held < self._max_workers:
                await self._slots.acquire()
                held += 1
        self._idle.clear()
        while self._workers:
            await _reap(self._workers.pop())
        for _ in range(held):
            self._slots.release()

    async def _take(self) -> _Worker | None:
        """Return a worker that is ready, or None; needs a slot."""
        while self._idle and not self._closed:
            worker = self._idle.pop()
            if worker.process.returncode is not None:
                await self._discard(worker, "died")
            elif not worker.ready and anyio.current_time() - worker.started_at > START_LIMIT_S:
                await self._discard(worker, "never started")
            else:
                return await self._until_ready(worker)
        worker = await self._open()
        return None if worker is None else await self._until_ready(worker)

    async def _until_ready(self, worker: _Worker) -> _Worker | None:
        if worker.ready:
            return worker
        try:
            await worker.reply()
        except _LOST:
            await self._discard(worker, "died at start")
            return None
        except anyio.get_cancelled_exc_class():
            # It has read nothing hostile yet: whoever comes next goes on waiting for it.
            self._idle.insert(0, worker)
            raise
        worker.ready = True
        return worker

    async def _ask(self, worker: _Worker, a: str, b: str) -> bool | None:
        worker.asked += 1
        # The standard library's writer, because orjson refuses lone surrogates.
        line = json.dumps({"id": worker.asked, "gold": a, "answer": b}).encode() + b"\n"
        reason = "exceeded its time or was cancelled"
        try:
            await worker.requests.send(line)
            reply = await worker.reply()
            if reply["id"] != worker.asked:
                raise ValueError("a reply to another question")
            reason = None
        except _LOST:
            reason = "died"
            return None
        finally:
            if reason is None:
                self._idle.append(worker)
            else:
                await self._discard(worker, reason)
        equal = reply["equal"]
        return equal if isinstance(equal, bool) else None

    async def _open(self) -> _Worker | None:
        """Start a process without waiting for its program; needs a slot."""
        if self._closed:
            return None
        process = None
        self._opening += 1
        try:
            # Shielded, or a cancellation could lose the process between its birth and our record.
            with anyio.move_on_after(OPEN_LIMIT_S, shield=True):
                process = await anyio.open_process(
                    [sys.executable, str(_PROGRAM)],
                    stderr=DEVNULL,
                    env=_environment(),
                    start_new_session=True,  # out of reach of the terminal's Ctrl-C
                )
        except OSError as error:
            _log.warning("frontrunner.answer_worker_not_started", error=str(error))
        finally:
            self._opening -= 1
        if process is None:
            self._killed_at.append(anyio.current_time())
            return None
        assert isinstance(process.stdin, ByteSendStream)
        assert isinstance(process.stdout, ByteReceiveStream)
        worker = _Worker(
            process,
            process.stdin,
            BufferedByteReceiveStream(process.stdout),
            started_at=anyio.current_time(),
        )
        if self._closed:  # meanwhile
            await _reap(worker)
            return None
        self._workers.add(worker)
        return worker

    async def _warm_up_one(self) -> None:
        async with self._slots:
            if self._declines():
                return
            worker = next((idle for idle in self._idle if not idle.ready), None)
            if worker is not None:
                self._idle.remove(worker)
            elif len(self._workers) + self._opening < self._max_workers:
                worker = await self._open()
            if worker is not None and await self._until_ready(worker) is not None:
                self._idle.append(worker)

    def _declines(self) -> bool:
        """Return whether no comparison is begun now: closed, or too many kills in a minute."""
        a_minute_ago = anyio.current_time() - 60
        while self._killed_at and self._killed_at[0] < a_minute_ago:
            self._killed_at.popleft()
        return self._closed or len(self._killed_at) >= self._max_kills

    async def _discard(self, worker: _Worker, reason: str) -> None:
        """Kill a worker that nobody may use again; needs its slot."""
        self._workers.discard(worker)
        if not self._closed:
            self._killed_at.append(anyio.current_time())
            _log.warning(
                "frontrunner.answer_worker_killed",
                reason=reason,
                pid=worker.process.pid,
                declines_now=self._declines(),
            )
        await _reap(worker)


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(("LC_", "PYTHON"))
    }
    # Or modules beside `worker.py` could stand in for libraries of the same name.
    return kept | {"PYTHONSAFEPATH": "1"}


def _kill(worker: _Worker) -> None:
    with suppress(ProcessLookupError):  # it has ended already
        worker.process.kill()


async def _reap(worker: _Worker) -> None:
    """Kill a worker, close its pipes and wait for its end, whether cancelled or not."""
    _kill(worker)
    with anyio.move_on_after(REAP_LIMIT_S, shield=True):
        await worker.process.aclose()
