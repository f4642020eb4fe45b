"""All races of a server, each in a task of its own: a client's connection may end before its race,
or its race before the connection."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, Self

import anyio
import structlog
from aiohttp import web
from anyio.abc import TaskGroup
from structlog.contextvars import bound_contextvars

from frontrunner.strategies.protocol import StopReason

from ...config import ServerSettings
from ...errors import EngineClosed, EngineError, EngineRestarting, FrontrunnerError, NotInTime
from ...racing.race_options import Question, RaceOptions
from ...result import Result
from ...runtime import Runtime
from ..errors import Draining, RaceLost, RunCancelled
from ..requests.limits import RaceLimit
from .access_log import note_race
from .frames import Encoder
from .plain_text import plain_result
from .replay_buffer import LogReader, ReplayBuffer
from .telling import Telling

__all__ = ["RUNS", "Run", "Runs"]

_log = structlog.get_logger("frontrunner.serving")

#: How often runs that have ended are looked through for those kept long enough, in seconds.
_SWEEP = 5.0
#: How often races are told, while the server ends, by when they must come back, in seconds.
_HURRY_STEP = 0.25
#: How often it is asked whether a race that waits is still wanted, in seconds.
_POLL_INTERVAL = 0.1
#: The event loop's lag in seconds over which progress wakes nobody.
_LAG = 0.05
#: Seconds that races which do not end by the drain limit get for being aborted.
_ABORT_LIMIT = 2.0


class Run:
    """One race for one request."""

    def __init__(
        self,
        prefix: str,
        log: ReplayBuffer | None,
        *,
        keep_on_disconnect: bool,
        kept: bool,
        owner: str | None,
        changed: Callable[["Run"], None],
        lagging: Callable[[], bool] = lambda: False,
    ) -> None:
        self.race_id = token_hex(12)
        self.id = prefix + self.race_id
        self.kept = kept  # after its end, for readers that come back
        self.owner = owner  # the name of the key it was asked for with
        self.began = anyio.current_time()
        self.ended: float | None = None
        self.error: FrontrunnerError | None = None
        self.refused: FrontrunnerError | None = None  # the error, if the race never began
        self._log = log
        self._keep = keep_on_disconnect
        self._changed = changed
        self._lagging = lagging
        self._decided_at: float | None = None  # anyio clock; None: it was not, or it was delivered
        self._deliver: Callable[[float], None] = lambda seconds: None
        self._holders = 0
        self._scope = anyio.CancelScope()
        self._accepted = anyio.Event()
        self._done = anyio.Event()
        self._result: Result | None = None
        self._telling: Telling | None = None

    @property
    def done(self) -> bool:
        """Whether its race has ended."""
        return self._done.is_set()

    @property
    def outcome(self) -> Result | None:
        """The result, if there is one already."""
        return self._result

    @property
    def began_or_ended(self) -> bool:
        """Whether it is known that the race could begin, or could not."""
        return self._accepted.is_set()

    @property
    def held(self) -> bool:
        """Whether anybody reads it or waits for it."""
        return self._holders > 0

    @property
    def streams(self) -> bool:
        """Whether it has frames to read."""
        return self._log is not None

    @contextmanager
    def holding(self) -> Iterator[Self]:
        """Somebody wants this run for as long as the block lasts. When the last one has gone, a
        race that still runs is cancelled, unless it was to go on."""
        self._holders += 1
        try:
            yield self
        finally:
            self._holders -= 1
            if not self._holders and not self._keep:
                self.cancel()
            self._changed(self)

    @contextmanager
    def frames(self, after: int = -1) -> Iterator[LogReader]:
        """An async iterator of numbers and frames, from ``after`` + 1 to the terminal one; holds
        the run meanwhile.

        Raises:
            EventsExpired: here or while reading, if the next one is not kept any more.
        """
        assert self._log is not None
        with self.holding():
            yield LogReader(self._log, after)

    async def result(self) -> Result:
        """The outcome, when there is one. Who waits for it holds the run (``holding``).

        Raises:
            FrontrunnerError: why there is none; ``RunCancelled`` after ``cancel``.
        """
        await self._done.wait()
        if self._result is None:
            raise self.error or RunCancelled()
        return self._result

    def wake(self) -> None:
        """Have its readers look for what has happened."""
        if self._log is not None:
            self._log.notify()

    def catch_up(self) -> None:
        """Make frames of all that has happened, though nobody reads them now."""
        if self._telling is not None:
            self._telling.tell()

    def delivered(self) -> None:
        """The last frame was written, to a client that took all before it without a pause."""
        if self._decided_at is not None:
            seconds, self._decided_at = anyio.current_time() - self._decided_at, None
            self._deliver(seconds)

    def cancel(self) -> None:
        """End the race now, without a result; nothing if it has ended."""
        if not self.done:
            self._scope.cancel()

    # ── for Runs ──────────────────────────────────────────────────────────────────────────────

    async def accepted(self) -> None:
        """Wait until the race has begun or is ``refused``."""
        await self._accepted.wait()

    async def execute(
        self,
        runtime: Runtime,
        question: Question,
        options: RaceOptions,
        encoder: Encoder | None,
    ) -> None:
        """Run the race; its errors stay with the run."""
        try:
            with self._scope, bound_contextvars(race=self.race_id):
                try:
                    if encoder is None:
                        self._accepted.set()
                        result = await runtime.solve(question, **options)
                        self._result = _told_result(result, runtime)
                    else:
                        await self._stream(runtime, question, options, encoder)
                except FrontrunnerError as error:
                    self.error = error
                except Exception:  # noqa: BLE001 - of one race: the others go on
                    _log.exception("frontrunner.run_failed", race=self.race_id)
                    self.error = EngineError("an internal error ended the race")
        finally:
            if self._result is None:
                self.error = self.error or RunCancelled()
            if not self._accepted.is_set():
                self.refused = self.error
            elif self._log is not None and encoder is not None and not self._log.closed:
                self.catch_up()
                self._log.extend(encoder.fail(self.error or RunCancelled()), final=True)
            if self._log is not None:
                self._log.close()
            self._telling = None  # it knows this run: a cycle, with all that was told
            self.ended = anyio.current_time()
            self._done.set()
            self._accepted.set()

    async def _stream(
        self,
        runtime: Runtime,
        question: Question,
        options: RaceOptions,
        encoder: Encoder,
    ) -> None:
        log = self._log
        assert log is not None

        def begin() -> None:
            log.extend(encoder.start(self.id))
            self._accepted.set()

        telling = self._telling = Telling(log, encoder, self._fail, self._lagging, begin)
        result = await runtime.race(question, telling, **options)
        self._decided_at = anyio.current_time()
        self._deliver = lambda seconds: runtime.delivered(result, seconds)
        self._result = _told_result(result, runtime)
        await encoder.before_decided(self._result)
        telling.finish()

    def _fail(self) -> None:
        """The race cannot be told."""
        self.error = EngineError("an internal error ended the race")
        self._scope.cancel()


def _told_result(result: Result, runtime: Runtime) -> Result:
    """``result`` as clients read it, unless there is nothing in it.

    Raises:
        RaceLost: every branch was lost; with the reason.
        NotInTime: no branch had written anything by the deadline. Who would get an empty reply
            would take it for the model's.
        EngineRestarting: the engine was lost, and will be back.
    """
    if result.stop_reason is StopReason.FAILED and result.answer is None:
        if isinstance(failure := runtime.engine.failure, EngineRestarting):
            raise failure
        raise RaceLost(next((b.error for b in result.branches if b.error), None))
    silent = not any(branch.tokens for branch in result.branches)
    if result.stop_reason is StopReason.DEADLINE and result.answer is None and silent:
        raise NotInTime(
            f"no branch wrote anything within the deadline of {result.deadline:g} s: the engine is "
            "silent, or has too much to do for so early a deadline"
        )
    return plain_result(result)


class Runs:
    """All runs of a server; ``serve`` runs them, for the application's life."""

    def __init__(self, runtime: Runtime, settings: ServerSettings | None = None) -> None:
        self._runtime = runtime
        self._settings = settings or runtime.settings.server
        self._runs: dict[str, Run] = {}  # that have not ended
        self._ended: OrderedDict[str, Run] = OrderedDict()  # oldest first
        self._unraced: dict[str, anyio.CancelScope] = {}  # by name
        self._limit = RaceLimit(self._settings.per_key_races)
        self._tasks: TaskGroup | None = None
        self._scope: anyio.CancelScope | None = None
        self._change: anyio.Event | None = None
        self._refusing = False
        self._lag = 0.0  # of the event loop, seconds
        self.overrun = 5.0
        """Seconds that a race may be late when the server ends, as it is where many end at once."""
        self.leaving = False
        """Whether the server is about to end: it should not be sent new requests."""

    def note_lag(self, seconds: float) -> None:
        """Take in how late the event loop was just now; called a few times a second. What wakes no
        reader while it lags is then looked for."""
        lagged, self._lag = self._is_lagging(), seconds
        if lagged:
            for run in self._runs.values():
                run.wake()

    def _is_lagging(self) -> bool:
        return self._lag > _LAG

    @property
    def draining(self) -> bool:
        """Whether new races are refused."""
        return self._refusing

    @property
    def running(self) -> int:
        """Races that have not ended, and requests without one."""
        return len(self._runs) + len(self._unraced)

    async def serve(
        self,
        started: Callable[[], None] = lambda: None,
        beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        """Run whatever is started, until ``close``, which aborts every race.

        Args:
            started: called when races can be started.
            beside: what else runs as long.
        """
        with anyio.CancelScope() as self._scope:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                for task in beside:
                    tasks.start_soon(task)
                started()
                try:
                    while True:
                        await anyio.sleep(_SWEEP)
                        self._forget()
                finally:
                    self._tasks = None

    def close(self) -> None:
        """End ``serve``."""
        if self._scope is not None:
            self._scope.cancel()

    def begin(
        self,
        question: Question,
        options: RaceOptions,
        encoder: Encoder | None = None,
        *,
        prefix: str = "",
        keep_on_disconnect: bool = False,
        kept: bool = True,
        owner: str | None = None,
    ) -> Run:
        """Start a race; await ``begun`` next. A race that is never held runs to its end.

        Args:
            question: what ``Runtime.solve`` takes.
            options: likewise.
            encoder: says what the frames are; None: only the result is wanted.
            prefix: what the run's id begins with.
            keep_on_disconnect: the race goes on when nobody holds the run any more.
            kept: its frames are kept for a while after its end, for readers that come back.
            owner: the name of the key that asks.

        Raises:
            Draining: the server is about to end.
            TooManyRaces: the key has as many races running as it may.
        """
        if self._refusing:
            raise Draining
        if self._tasks is None:
            raise EngineClosed("the server is not running")
        settings = self._settings
        self._limit.take(owner)
        run = Run(
            prefix,
            ReplayBuffer(settings.log_frames, settings.log_bytes) if encoder is not None else None,
            keep_on_disconnect=keep_on_disconnect,
            kept=kept,
            owner=owner,
            changed=self._changed,
            lagging=self._is_lagging,
        )
        self._runs[run.id] = run
        note_race(run)
        self._tasks.start_soon(self._execute, run, question, options, encoder)
        return run

    async def begun(self, run: Run, wanted: Callable[[], bool] = lambda: True) -> Run:
        """``run``, once its race has its branches. Hold it (``holding`` or ``frames``) before the
        next ``await``.

        Args:
            wanted: asked now and then; if the race is not wanted any more, it is cancelled.

        Raises:
            FrontrunnerError: with an encoder, the race cannot be run (``BadRequest``, …). Without
                one, ``Run.result`` raises it.

        Cancelling it cancels the race.
        """
        try:
            while not run.began_or_ended:
                with anyio.move_on_after(_POLL_INTERVAL):
                    await run.accepted()
                if not wanted():
                    run.cancel()
        except BaseException:
            run.cancel()
            raise
        if run.refused is not None:
            raise run.refused
        return run

    @contextmanager
    def unraced(self, owner: str | None) -> Iterator[str]:
        """A request to the engine that is no race, for as long as the block lasts. It counts as one
        of its key's; by the name that the block gets ``drain`` shortens its deadline, and cancels
        it in the end.

        Raises:
            Draining, TooManyRaces: as ``start``.
            RunCancelled: it was cancelled.
        """
        if self._refusing:
            raise Draining
        name = token_hex(12)
        with self._limit.held(owner):
            scope = self._unraced[name] = anyio.CancelScope()
            try:
                with scope:
                    yield name
            finally:
                del self._unraced[name]
                self._wake()
        if scope.cancelled_caught:
            raise RunCancelled

    def get(self, run_id: str) -> Run | None:
        """The run of this id, if it runs or its frames are still kept."""
        self._forget()
        return self._runs.get(run_id) or self._ended.get(run_id)

    async def drain(self, limit: float) -> None:
        """Take no more races, and end those that run within ``limit`` seconds, each with the best
        answer it has by then; return when all have been told to those who wait for them."""
        self.leaving = self._refusing = True
        end = anyio.current_time() + limit
        with anyio.move_on_after(limit + self.overrun):
            while self.running:
                # Again and again: one that was only just taken may not have begun.
                for name in (*(run.race_id for run in self._runs.values()), *self._unraced):
                    self._runtime.shorten_deadline(name, end - anyio.current_time())
                with anyio.move_on_after(_HURRY_STEP):
                    await self._until(lambda: not self.running)
        for run in list(self._runs.values()):
            run.cancel()
        for scope in list(self._unraced.values()):
            scope.cancel()
        with anyio.move_on_after(_ABORT_LIMIT):
            await self._until(lambda: not self.running)
        # Their last frames are still on the way; a client that does not take them is cut off.
        with anyio.move_on_after(self._settings.stall_limit):
            await self._until(lambda: not any(run.held for run in self._ended.values()))

    async def _execute(
        self,
        run: Run,
        question: Question,
        options: RaceOptions,
        encoder: Encoder | None,
    ) -> None:
        try:
            await run.execute(self._runtime, question, {**options, "race_id": run.race_id}, encoder)
        finally:
            self._limit.release(run.owner)
            self._runs.pop(run.id, None)
            if run.refused is None:
                self._ended[run.id] = run
            self._forget()
            self._changed(run)

    def _forget(self) -> None:
        """Drop runs that ended long ago, and the oldest where there are too many."""
        old = anyio.current_time() - self._settings.kept_seconds
        for run_id, run in list(self._ended.items()):
            kept = run.ended is not None and run.ended >= old
            if kept and len(self._ended) <= self._settings.kept_runs:
                break
            if not run.held:
                del self._ended[run_id]

    def _changed(self, run: Run) -> None:
        """A run has ended, or somebody holds it no more."""
        if run.done and not run.held and not run.kept:
            self._ended.pop(run.id, None)
        self._wake()

    def _wake(self) -> None:
        if self._change is not None:
            self._change.set()
            self._change = None

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._change is None:
                self._change = anyio.Event()
            await self._change.wait()


#: The runs of an application.
RUNS = web.AppKey("frontrunner.runs", Runs)
