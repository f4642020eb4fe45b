"""The races of a runtime: each is checked, has branches granted, runs, and is learned from."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import structlog

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ..agents.tools import Tool
from ..answers import Equivalence, WorkerPool
from ..answers.registry import Extractor
from ..common.loop_clock import current_loop
from ..config import Settings
from ..engines.protocol import Engine, shared_slots
from ..errors import BadRequest, EngineClosed, EngineError, EngineRestarting, Overloaded
from ..events.event_stream import EventSink
from ..planning.runtime_models import RuntimeModels
from ..racing.background import Background
from ..racing.deadline_reserve import DeadlineReserve
from ..racing.observers import Observer, Watchers
from ..racing.race import Race
from ..racing.race_options import Question, RaceOptions, RawPrompt
from ..racing.race_stream import StreamedRace
from ..result import Result
from ..rewards import RewardModel
from .admission import Admission, Lease
from .race_factory import RaceFactory, RaceRequest
from .race_starts import RaceStarts
from .rebalancer import BranchRebalancer

_log = structlog.get_logger("frontrunner.runtime")

#: What an engine step is taken to last before one was measured, in seconds.
_FALLBACK_STEP = 0.05
#: Seconds that a race which is cancelled may take to end, beside what telling the engine takes.
_LEAVING = 1.0
#: Races that are over and have left a task behind, at most; then no others begin.
_MAX_LINGERING = 256
#: Finished branches needed before their lengths say something about the next ones.
_MIN_LENGTHS = 8
#: A task waits in vain for wake-ups of another event loop than its own, or for long.
_ELSEWHERE = (
    "the runtime was entered in another event loop, and races only there. From another thread: "
    "asyncio.run_coroutine_threadsafe(runtime.solve(…), loop).result(). asyncio.run makes a new "
    "event loop each time: enter and race in one asyncio.run"
)


class RaceRunner:
    """Runs races on an engine that somebody else starts and closes."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        rewards: RewardModel | None,
        extractor: Extractor,
        workers: WorkerPool | None,
        observers: Sequence[Observer],
        tools: Sequence[Tool],
    ) -> None:
        """
        Args:
            workers: who compares formulas; None: nobody needs to.
            observers: who hears of every race; more may come.
            tools: for races that are given no others; more may come.
        """
        race, lengths = settings.race, settings.lengths
        self._engine, self._observers, self._tools = engine, observers, tools
        self.reserve = DeadlineReserve(race.return_margin, _FALLBACK_STEP)
        self._racing: dict[str, Race] = {}
        self._sharing = self._make_sharing(settings.planning.models)
        self.maker = RaceFactory(
            engine,
            settings,
            rewards,
            extractor,
            Equivalence(workers, settings.answers.compare_timeout),
            self.reserve,
            self._sharing.planned if self._sharing else None,
        )
        self.maker.start = self._start_call
        self.admission = Admission(capacity=0, queue=0)  # the engine's comes as it starts
        self.lengths = LengthModel.from_quantiles(lengths.median, lengths.p95) if lengths else None
        """What is expected of branches; None: nothing yet."""
        self.unacknowledged: list[str] = []
        """Requests that the engine could not be told to end."""
        self._starts = RaceStarts()
        self._lingering: list[Race] = []  # races that are over, of which a task still runs
        self._logged_notes = set[str]()  # codes of the notes that were logged
        self.background, self.race_tasks = Background(), Background()
        self.leave_limit = race.abort_limit + _LEAVING
        """Seconds that tasks are waited for which have been cancelled."""
        self.entered = False
        """Whether races may begin."""
        self._loop: object = None  # the event loop that the runtime was entered in

    def _make_sharing(self, models: str | None) -> BranchRebalancer | None:
        if models is None:
            return None
        return BranchRebalancer(
            RuntimeModels.read(Path(models)),
            self._engine,
            lambda: self.admission.load().granted,
            self._racing.values,
        )

    async def start(self) -> None:
        """Start what runs beside races."""
        self.background, self.race_tasks = Background(), Background()
        self._starts = RaceStarts()
        self._loop = current_loop()  # another one than before, perhaps
        await self.background.start()
        await self.race_tasks.start()

    def open(self, capacity: int, queue: int) -> None:
        """Let races begin: the engine is there, and has room for ``capacity`` branches; so many
        races may wait."""
        self.admission = Admission(capacity, queue)
        self.entered = True

    def close(self) -> None:
        """Let no races begin."""
        self.entered = False
        self.admission.close()

    async def warm_up(self) -> None:
        """Run a race into its deadline, so that the reserve for forced answers is measured before
        the first one that counts."""
        step = self._engine.load().step_seconds or _FALLBACK_STEP
        request = await self.prepare(
            "Count from one to ten.",
            {
                "deadline": 60 * step + self.reserve.margin,
                "strategy": "majority",
                "parameters": {"stop": "none"},
            },
        )
        with await self._admit(request) as lease:
            await self.maker.make(request, lease, self.lengths).run(self.race_tasks)
        self.reserve.return_seconds = 0.0  # a first time says nothing of the others

    @property
    def lingering(self) -> int:
        """Races that are over while a task of them has not ended: a reward function in a thread, or
        an engine's stream that is slow to close. They end by themselves, or as the runtime is
        left."""
        self._lingering = [race for race in self._lingering if race.lingers]
        return len(self._lingering)

    def shorten_deadline(self, race_id: str, deadline: float) -> None:
        """See ``Runtime.shorten_deadline``; ``deadline`` on the anyio clock."""
        self._starts.shorten_deadline(race_id, deadline)
        self.admission.shorten_deadline(race_id, deadline)
        race = self._racing.get(race_id)
        if race is not None:
            race.shorten_deadline(deadline)

    def record_delivery(self, result: Result, seconds: float) -> None:
        """See ``Runtime.delivered``."""
        if result.stop_reason is StopReason.DEADLINE and result.elapsed <= 2 * result.deadline:
            late = result.elapsed - result.deadline + self.reserve.margin + seconds
            self.reserve.record_return_latency(late)

    def _start_call(self, function: Callable[..., Coroutine[Any, Any, None]], *given: Any) -> None:
        """Run a call of a tool, which ends when the runtime is left."""
        self.background.start_soon(function, *given)

    async def solve(
        self,
        question: Question,
        options: RaceOptions,
        on_event: EventSink | None = None,
    ) -> Result:
        """See ``Runtime.solve`` and ``Runtime.race``."""
        request = await self.prepare(question, options)
        with await self._admit(request) as lease:
            race = self._make(request, lease)
            if on_event is not None:
                race.stream_to(on_event)
            return await self._run(race)

    async def prepare(self, question: Question, options: RaceOptions) -> RaceRequest:
        """Check a request; all errors of input are raised here."""
        self.check_entered()
        self.check_up()
        if self._tools and options.get("tools") is None and not isinstance(question, RawPrompt):
            # Those with side effects are for ``act``, which runs them.
            options = {**options, "tools": [t for t in self._tools if not t.side_effects]}
        seconds, maker = options.get("deadline"), self.maker
        if seconds is None:
            seconds = maker.usual_deadline
        asked, earlier = await self._starts.wait(
            seconds, options.get("race_id"), lambda: maker.least_deadline
        )
        request = await maker.check(question, options, asked)
        return request if earlier is None else request.due_by(earlier)

    def check_entered(self) -> None:
        """
        Raises:
            EngineClosed: the runtime is not entered, or not in this event loop.
        """
        if not self.entered:
            raise EngineClosed("enter the runtime first: async with Runtime.from_config(…)")
        if current_loop() is not self._loop:
            raise EngineClosed(_ELSEWHERE)

    def check_up(self) -> None:
        """Races on an engine that is down would each be lost, with nothing to say when to come
        back."""
        if isinstance(failure := self._engine.failure, EngineRestarting):
            raise failure

    async def _admit(self, request: RaceRequest) -> Lease:
        """Wait for the branches that a race needs at least."""
        if len(self._lingering) >= _MAX_LINGERING and self.lingering >= _MAX_LINGERING:
            raise Overloaded(
                f"of {self.lingering} races that are over tasks still run, since their reward "
                "function or their engine does not end when it is cancelled",
                self.leave_limit,
            )
        spec = request.spec
        if (slots := shared_slots(self._engine)) is not None:
            self.admission.resize(slots)
        if self._sharing is not None:
            self._sharing.make_room(spec)
        return await self.admission.admit(
            spec.max_branches,
            request.min_branches,
            deadline=min(spec.deadline, request.deadline),
            latest=request.latest,
            name=spec.race_id,
        )

    def _make(self, request: RaceRequest, lease: Lease) -> Race:
        """The race of a request, one of those that run from now on.

        Raises:
            BadRequest: another one that runs is called so, or the strategy cannot do with so few
                branches.
            EngineRestarting: the engine died while it waited.
        """
        self.check_up()
        name = request.spec.race_id
        if name in self._racing:  # their requests would be taken for each other's
            raise BadRequest(f"race_id: a race called {name!r} runs already", "race_id")
        race = self.maker.make(request, lease, self.lengths)
        self._racing[name] = race
        return race

    async def begin(self, question: Question, options: RaceOptions) -> StreamedRace:
        """A race for a stream; it runs in the background, where no block of its reader holds it.

        Raises:
            BadRequest, Overloaded, EngineClosed, EngineRestarting: as ``solve``.
        """
        request = await self.prepare(question, options)
        lease = await self._admit(request)
        streamed = StreamedRace(self.background, self.leave_limit)
        with ExitStack() as undoing:
            undoing.enter_context(lease)
            race = self._make(request, lease)
            undoing.callback(self._racing.pop, race.spec.race_id, None)
            race.stream_to(streamed.events)
            self.background.start_soon(self._run_streamed, race, lease, streamed)
            undoing.pop_all()
        return streamed

    async def _run_streamed(self, race: Race, lease: Lease, streamed: StreamedRace) -> None:
        """Run a race for its stream. Whatever happens to it is told there: others go on."""
        failure: Exception | None = None
        try:
            with streamed.scope, lease:  # which are free before the last event has been read
                if not streamed.scope.cancel_called:
                    await self._run(race)
        except Exception as error:  # noqa: BLE001 - of one race, and raised again where it is read
            _log.exception("frontrunner.race_failed", race=race.spec.race_id)
            failure = error
        except BaseException:
            failure = EngineClosed("the runtime was left before the race had a result")
            raise
        finally:
            if self._racing.get(race.spec.race_id) is race:  # it had not begun to run
                del self._racing[race.spec.race_id]
            lease.close()
            streamed.end(failure)

    async def _run(self, race: Race) -> Result:
        watchers = Watchers(self._observers, race.spec, self._engine.info.model)
        if watchers:
            race.watch(watchers)
        result: Result | None = None
        race.on_decision = partial(self._starts.ends, race.spec.race_id)
        try:
            result = await self._run_beside_retries(race)
        finally:
            race.on_decision = None
            self._starts.ended(race.spec.race_id)
            self._racing.pop(race.spec.race_id, None)
            watchers.ended(result)
            self.unacknowledged += race.unacknowledged
            if race.lingers or self._lingering:
                self._lingering = [r for r in (*self._lingering, race) if r.lingers]
        assert result is not None
        self.lengths = _learned(self.lengths, result)
        _log.info(
            "frontrunner.race_decided",
            race=result.race_id,
            stop_reason=result.stop_reason,
            elapsed=round(result.elapsed, 4),
            deadline=result.deadline,
            tokens_generated=result.tokens_generated,
            tokens_saved=result.tokens_saved,
            notes=[note.code for note in result.notes],
        )
        self._tell(result)
        return result

    def _tell(self, result: Result) -> None:
        """Warn of what a result is worth less for, once of each kind: a server that is set up so
        has it in every race, and the results themselves say so."""
        for note in result.notes:
            if note.code not in self._logged_notes:
                self._logged_notes.add(note.code)
                _log.warning(f"frontrunner.{note.code}", race=result.race_id, note=note.text)

    async def _run_beside_retries(self, race: Race) -> Result:
        if not self.unacknowledged:
            return await race.run(self.race_tasks)
        result: Result | None = None
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._retry_aborts)
            result = await race.run(self.race_tasks)
            beside.cancel_scope.cancel()
        assert result is not None
        return result

    async def _retry_aborts(self) -> None:
        """Tell the engine again what it could not be told when a race ended: it was stalled.

        Runs beside the next race, which it must not hold up.
        """
        requests = list(self.unacknowledged)
        with suppress(EngineError):  # it is dead or closed, and runs nothing
            await self._engine.abort(requests)
        # In place: who scores meanwhile adds to it.
        self.unacknowledged[:] = [r for r in self.unacknowledged if r not in requests]


def _learned(lengths: LengthModel | None, result: Result) -> LengthModel | None:
    """What is expected of the branches of the next race, those of this one taken in."""
    finished = [
        b.tokens + b.inherited_tokens for b in result.branches if b.status is BranchStatus.FINISHED
    ]
    cut = [
        b.tokens + b.inherited_tokens - b.forced_tokens
        for b in result.branches
        if b.status in (BranchStatus.CANCELLED, BranchStatus.TRUNCATED, BranchStatus.FORCED)
    ]
    if lengths is not None:
        return lengths.updated(finished, cut)
    return LengthModel.fit(finished, cut) if len(finished) >= _MIN_LENGTHS else None
