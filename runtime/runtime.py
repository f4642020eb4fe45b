"""What users embed: an engine, and races on it."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, Unpack
from warnings import warn

import anyio
import structlog

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus, StopReason

from .agents.acting import Acted, Acting, Acts
from .agents.protocol import set_up
from .agents.tools import Tool
from .answers import Equivalence, WorkerPool, make_extractor
from .config import Settings
from .engines.protocol import Engine, EngineLoad, RunsBeside, SharesSlots, TakesThinking
from .errors import (
    BadRequest,
    ConfigError,
    EngineClosed,
    EngineError,
    EngineRestarting,
    EngineStartError,
    Overloaded,
)
from .events.stream import EventSink
from .logs import configure_logs
from .model_files.families import is_named_later, with_family
from .planning.runtime_models import RuntimeModels
from .prompts.messages import ChatMessage
from .racing.background import Background
from .racing.deadline_reserve import DeadlineReserve
from .racing.observers import Observer, Watchers
from .racing.options import Question, RaceOptions, RawPrompt
from .racing.race import Race
from .racing.stream import RaceStream, StreamedRace
from .result import Result
from .rewards import RewardModel, make_reward_model
from .scheduling.admission import Admission, AdmissionLoad, Lease
from .scheduling.race_factory import RaceFactory, RaceRequest
from .scheduling.rebalancer import BranchRebalancer
from .scheduling.scoring import ScoreOptions, Scorer, Told

_log = structlog.get_logger("frontrunner.runtime")

#: What an engine step is taken to last before one was measured, in seconds.
_FALLBACK_STEP = 0.05
#: Seconds that a race which is cancelled may take to end, beside what telling the engine takes.
_LEAVING = 1.0
#: Races that are over and have left a task behind, at most; then no others begin.
_MOST_LINGERING = 256
#: Finished branches needed before their lengths say something about the next ones.
_ENOUGH_LENGTHS = 8


class Runtime:
    """Races questions on an engine. Enter it with ``async with``; any number of races at once.

    ::

        async with Runtime.from_config("configs/demo.toml") as runtime:
            result = await runtime.solve("…", deadline=5.0)
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings | None = None,
        *,
        rewards: RewardModel | None = None,
        warm_up: bool = False,
        observers: Sequence[Observer] = (),
        tools: Sequence[Tool] = (),
    ) -> None:
        """
        Args:
            engine: started and closed by the runtime.
            settings: all but ``settings.engine``, which is the engine's own.
            rewards: what scores branches, for strategies that ask for it; started and closed by
                the runtime.
            warm_up: also start the processes that compare answers, so that the first symbolic
                answers need not wait for them (about a second of CPU time).
            observers: who hears of every race; ``runtime.observers`` takes more later.
            tools: for races that are given no others; ``runtime.tools`` takes more later.
        """
        self._warm = warm_up
        self.settings, rewards = set_up(engine, settings or Settings(), rewards)
        configure_logs(self.settings.log)
        self.engine = engine
        self.rewards = rewards
        self.observers: list[Observer] = [*observers]
        self.tools, self._acts = [*tools], Acts()
        race, answers, lengths = self.settings.race, self.settings.answers, self.settings.lengths
        self._reserve = DeadlineReserve(race.return_margin, _FALLBACK_STEP)
        extractor = make_extractor(answers)
        # Only mathematics is compared by algebra.
        algebra = answers.workers if extractor.key is None else 0
        self._workers = WorkerPool(algebra) if algebra else None
        equivalence = Equivalence(self._workers, answers.compare_timeout)
        self._racing: dict[str, Race] = {}
        self._sharing = self._make_sharing(self.settings.planning.models)
        self._maker = RaceFactory(
            engine,
            self.settings,
            rewards,
            extractor,
            equivalence,
            self._reserve,
            self._sharing.planned if self._sharing else None,
        )
        self._scorer = Scorer(engine, self._maker, self.settings.race)
        self._maker.start = self._start_call
        self._admission = Admission(capacity=0, queue=0)  # the engine's comes as it starts
        self._lengths = LengthModel.from_quantiles(lengths.median, lengths.p95) if lengths else None
        self._unacknowledged: list[str] = []
        self._lingering: list[Race] = []  # races that are over, of which a task still runs
        self._told = set[str]()  # codes of the notes that were logged
        self._background, self._race_tasks = Background(), Background()
        self._leave_limit = race.abort_limit + _LEAVING
        self._entered = False

    def _make_sharing(self, models: str | None) -> BranchRebalancer | None:
        if models is None:
            return None
        return BranchRebalancer(
            RuntimeModels.read(Path(models)),
            self.engine,
            lambda: self._admission.load().granted,
            self._racing.values,
        )

    @classmethod
    def from_config(cls, config: str | Path | Settings | None = None) -> Self:
        """A runtime on the engine that a TOML file (or ``Settings``) describes.

        Args:
            config: of a file, what the environment says of a key counts over it
                (``FRONTRUNNER_RACE_BRANCHES``); ``Settings`` are taken as they are. None: the file
                that ``FRONTRUNNER_CONFIG`` names, or else the embedded demo.

        Raises:
            ConfigError: naming the file and the key.
            EngineStartError: if vLLM is not installed.
        """
        from .engines.factory import make_engine

        settings = config if isinstance(config, Settings) else Settings.load(config)
        settings = with_family(settings)
        engine = make_engine(settings.engine, settings.prompt, settings.thinking)
        rewards = make_reward_model(settings.rewards, engine, settings.engine)
        return cls(engine, settings, rewards=rewards, warm_up=True)

    async def __aenter__(self) -> Self:
        """Start the engine.

        Raises:
            EngineStartError: with the reason and what to do.

        Cancelling it leaves no process behind.
        """
        try:
            await self._start()
            self._background, self._race_tasks = Background(), Background()
            await self._background.start()
            await self._race_tasks.start()
            await self._acts.start()
            for part in (self.engine, self.rewards):
                if isinstance(part, RunsBeside):
                    self._background.start_soon(part.run_beside)
            self._admission = Admission(self.engine.info.max_branches, self.settings.race.queue)
            self._entered = True
            if self._warm:
                await self._warm_up_race()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the engine. Streams that are open end with ``EngineClosed``; a ``solve`` comes back
        with what is known.

        Cancelling it does not cut that short. It may be called in another task than entered it.
        """
        self._entered = False
        self._admission.close()
        await self._close()

    async def _start(self) -> None:
        failure: ConfigError | EngineStartError | None = None
        async with anyio.create_task_group() as tasks:
            if self._workers is not None and self._warm:
                tasks.start_soon(self._workers.warm_up)
            try:
                await self.engine.start()
                if self._warm and is_named_later(self.settings.engine):
                    self._adopt(with_family(self.settings, self.engine.info.model))
                _ = self._maker.thinking.model.form  # which may be refused
                if self.rewards is not None:
                    await self.rewards.start()
            except (ConfigError, EngineStartError) as error:
                failure = error  # raised outside, where no ExceptionGroup wraps it
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def _adopt(self, settings: Settings) -> None:
        """Go on with settings that were completed by what the engine says of its model."""
        self.settings = settings
        self._maker.adopt(settings)
        if isinstance(self.engine, TakesThinking):
            self.engine.take_thinking(settings.thinking)

    async def _warm_up_race(self) -> None:
        """Run a race into its deadline, so that the reserve for forced answers is measured before
        the first one that counts."""
        step = self.engine.load().step_seconds or _FALLBACK_STEP
        request = await self._prepare(
            "Count from one to ten.",
            {
                "deadline": 60 * step + self._reserve.margin,
                "strategy": "majority",
                "parameters": {"stop": "none"},
            },
        )
        with await self._admit(request) as lease:
            await self._maker.make(request, lease, self._lengths).run(self._race_tasks)
        self._reserve.return_seconds = 0.0  # a first time says nothing of the others

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as closing:  # from the last to the first
                if self._workers is not None:
                    closing.push_async_callback(self._workers.aclose)
                # After the engine, whose end brings those that are awaited to theirs.
                closing.push_async_callback(self._race_tasks.aclose, self._leave_limit)
                closing.push_async_callback(self.engine.aclose)
                if self.rewards is not None:
                    closing.push_async_callback(self.rewards.aclose)
                # First, while the engine can still be told to abort.
                closing.push_async_callback(self._acts.aclose)
                closing.push_async_callback(self._background.aclose, self._leave_limit)

    async def solve(
        self,
        question: Question,
        **options: Unpack[RaceOptions],
    ) -> Result:
        """Race ``question`` and return the best answer by the deadline.

        Args:
            question: text, chat messages in OpenAI's form (see ``messages``), or a ``RawPrompt``.
            options: see ``RaceOptions``; what is not given comes from the settings.

        Raises:
            BadRequest: the request cannot be run as it is (see ``errors``).
            Overloaded: other races hold the engine's branches, and will not leave this one its
                ``min_branches`` in time; or too many wait already.
            EngineClosed: the runtime was not entered, or was left before the race could begin.
            EngineRestarting: the engine died, and is not up again yet.

        While other races hold the engine's branches it begins with fewer, or waits; the wait counts
        against its deadline. Cancelling it aborts every branch.
        """
        return await self._solve(question, options)

    async def race(
        self, question: Question, told: EventSink, **options: Unpack[RaceOptions]
    ) -> Result:
        """``solve``, and ``told`` hears of every event as it happens, without a queue between.

        Args:
            question: see ``solve``.
            told: called where things happen, in order, nothing joined; must be quick, and raise
                nothing. The last event comes just before the result is returned.
            options: see ``solve``.

        Raises:
            BadRequest, Overloaded, EngineClosed: as ``solve``; nothing was told then.
        """
        return await self._solve(question, options, told)

    async def act(
        self,
        question: str | Sequence[ChatMessage],
        *,
        min_votes: int = 1,
        **options: Unpack[RaceOptions],
    ) -> Acted:
        """Race ``question`` and run the calls of tools that are decided for, each once; then race
        on with what they returned, until the answer is none of them or the deadline has come.

        Args:
            question: text, or chat messages in OpenAI's form.
            min_votes: a call runs only if so many branches that ended by themselves made it.
            options: see ``RaceOptions``. ``tools`` that are not of the class ``Tool`` are not run:
                a call of one is the answer.

        Raises:
            BadRequest, Overloaded, EngineClosed, EngineRestarting: as ``solve``, of the first race.
                Later ones that cannot begin end it with what was done, and with the last result.

        A call begins in the moment in which its race is decided, and then runs to its end or its
        time limit, though the caller leaves and though the runtime is left. Cancelled before that
        moment, nothing runs.
        """
        if options.get("tools") is None:
            options["tools"] = self.tools
        return await Acting(self._solve, self._acts, question, min_votes).run(
            options, self.settings.race.deadline
        )

    def stream(self, question: Question, **options: Unpack[RaceOptions]) -> RaceStream:
        """The same race as ``solve``, as typed events; the last one holds the result.

        Arguments and errors are those of ``solve``; all errors are raised on entering, which is
        also where the race waits if it must. Leaving the block early cancels the race, in whatever
        way and in whichever task it is left; a slow reader never holds it back.
        """
        return RaceStream(partial(self._begin, question, options))

    async def score(
        self,
        prompts: Sequence[RawPrompt],
        told: Told,
        *,
        name: str = "",
        **options: Unpack[ScoreOptions],
    ) -> Sequence[int]:
        """Log probabilities of prompts, of what the model writes behind them, or both; without a
        race: each text is one request to the engine.

        Args:
            told: hears of every chunk, and of its text's place: all choices of the first prompt
                come before those of the second.
            name: for ``shorten_deadline``.
            options: see ``ScoreOptions``.

        Returns:
            The tokens of each prompt.

        Raises:
            BadRequest: they cannot be told as it is asked; above all, not by this engine.
            NotInTime: of one nothing was known by the deadline.
            Overloaded, EngineClosed, EngineRestarting: as ``solve``.
            EngineError: the engine lost one.

        Cancelling it aborts every request.
        """
        self._check_entered()
        self._check_up()
        untold = self._unacknowledged.extend
        return await self._scorer.run(self._admission, prompts, told, name, options, untold)

    def run_beside(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``function``, which must raise nothing, for as long as the runtime is entered: it is
        cancelled before the engine is closed.

        Raises:
            EngineClosed: the runtime is not entered.
        """
        self._check_entered()
        self._background.start_soon(function)

    def shorten_deadline(self, race_id: str, seconds: float) -> None:
        """Bring the deadline of a race that runs or waits forward to ``seconds`` from now.

        It comes back in time for that, with the best answer it has by then. Nothing if there is no
        such race, or if its deadline is earlier.
        """
        deadline = anyio.current_time() + seconds
        self._admission.shorten_deadline(race_id, deadline)
        race = self._racing.get(race_id)
        if race is not None:
            race.shorten_deadline(deadline)
        self._scorer.shorten_deadline(race_id, deadline)

    def hurry(self, race_id: str, seconds: float) -> None:
        """The name of ``shorten_deadline`` until version 0.2."""
        warn("use Runtime.shorten_deadline", DeprecationWarning, stacklevel=2)
        self.shorten_deadline(race_id, seconds)

    def delivered(self, result: Result, seconds: float) -> None:
        """Say that a result of this runtime was with whoever asked only ``seconds`` after it was
        returned: the next ones that run until their deadlines are called so much earlier."""
        if result.stop_reason is StopReason.DEADLINE and result.elapsed <= 2 * result.deadline:
            late = result.elapsed - result.deadline + self._reserve.margin + seconds
            self._reserve.record_return_latency(late)

    def load(self) -> EngineLoad:
        """What the engine is doing now."""
        return self.engine.load()

    def admission_load(self) -> AdmissionLoad:
        """Who holds the engine's branches now, and who waits for some; all 0 before the start."""
        return self._admission.load()

    def _start_call(self, function: Callable[..., Coroutine[Any, Any, None]], *given: Any) -> None:
        """Run a call of a tool, which ends when the runtime is left."""
        self._background.start_soon(function, *given)

    @property
    def lingering(self) -> int:
        """Races that are over while a task of them has not ended: a reward function in a thread, or
        an engine's stream that is slow to close. They end by themselves, or as the runtime is
        left."""
        self._lingering = [race for race in self._lingering if race.lingers]
        return len(self._lingering)

    # ── a race, from what was asked to what it teaches ────────────────────────────────────────

    async def _solve(
        self,
        question: Question,
        options: RaceOptions,
        told: EventSink | None = None,
    ) -> Result:
        request = await self._prepare(question, options)
        with await self._admit(request) as lease:
            race = self._make(request, lease)
            if told is not None:
                race.stream_to(told)
            return await self._run(race)

    async def _prepare(self, question: Question, options: RaceOptions) -> RaceRequest:
        """Check a request; all errors of input are raised here."""
        self._check_entered()
        self._check_up()
        if self.tools and options.get("tools") is None and not isinstance(question, RawPrompt):
            # Those with side effects are for ``act``, which runs them.
            options = {**options, "tools": [t for t in self.tools if not t.side_effects]}
        return await self._maker.check(question, options)

    def _check_entered(self) -> None:
        if not self._entered:
            raise EngineClosed("enter the runtime first: async with Runtime.from_config(…)")

    def _check_up(self) -> None:
        """Races on an engine that is down would each be lost, with nothing to say when to come
        back."""
        if isinstance(failure := self.engine.failure, EngineRestarting):
            raise failure

    async def _admit(self, request: RaceRequest) -> Lease:
        """Wait for the branches that a race needs at least."""
        if len(self._lingering) >= _MOST_LINGERING and self.lingering >= _MOST_LINGERING:
            raise Overloaded(
                f"of {self.lingering} races that are over tasks still run, since their reward "
                "function or their engine does not end when it is cancelled",
                self._leave_limit,
            )
        spec = request.spec
        if isinstance(self.engine, SharesSlots):
            self._admission.resize(self.engine.slots)
        if self._sharing is not None:
            self._sharing.make_room(spec)
        return await self._admission.admit(
            spec.max_branches,
            request.min_branches,
            deadline=spec.deadline,
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
        self._check_up()
        name = request.spec.race_id
        if name in self._racing:  # their requests would be taken for each other's
            raise BadRequest(f"race_id: a race called {name!r} runs already", "race_id")
        race = self._maker.make(request, lease, self._lengths)
        self._racing[name] = race
        return race

    async def _begin(self, question: Question, options: RaceOptions) -> StreamedRace:
        """A race for a stream; it runs in the background, where no block of its reader holds it.

        Raises:
            BadRequest, Overloaded, EngineClosed, EngineRestarting: as ``solve``.
        """
        request = await self._prepare(question, options)
        lease = await self._admit(request)
        streamed = StreamedRace(self._background, self._leave_limit)
        with ExitStack() as undoing:
            undoing.enter_context(lease)
            race = self._make(request, lease)
            undoing.callback(self._racing.pop, race.spec.race_id, None)
            race.stream_to(streamed.events)
            self._background.start_soon(self._run_streamed, race, lease, streamed)
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
        watchers = Watchers(self.observers, race.spec, self.engine.info.model)
        if watchers:
            race.watch(watchers)
        result: Result | None = None
        try:
            result = await self._run_beside_retries(race)
        finally:
            self._racing.pop(race.spec.race_id, None)
            watchers.ended(result)
            self._unacknowledged += race.unacknowledged
            self._lingering = [r for r in (*self._lingering, race) if r.lingers]
        assert result is not None
        self._learn(result)
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
            if note.code not in self._told:
                self._told.add(note.code)
                _log.warning(f"frontrunner.{note.code}", race=result.race_id, note=note.text)

    async def _run_beside_retries(self, race: Race) -> Result:
        if not self._unacknowledged:
            return await race.run(self._race_tasks)
        result: Result | None = None
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._retry_aborts)
            result = await race.run(self._race_tasks)
            beside.cancel_scope.cancel()
        assert result is not None
        return result

    async def _retry_aborts(self) -> None:
        """Tell the engine again what it could not be told when a race ended: it was stalled.

        Runs beside the next race, which it must not hold up.
        """
        requests = list(self._unacknowledged)
        with suppress(EngineError):  # it is dead or closed, and runs nothing
            await self.engine.abort(requests)
        self._unacknowledged = [r for r in self._unacknowledged if r not in requests]

    def _learn(self, result: Result) -> None:
        """Branch lengths of this race improve what is expected of the next."""
        finished = [
            b.tokens + b.inherited_tokens
            for b in result.branches
            if b.status is BranchStatus.FINISHED
        ]
        cut = [
            b.tokens + b.inherited_tokens - b.forced_tokens
            for b in result.branches
            if b.status in (BranchStatus.CANCELLED, BranchStatus.TRUNCATED, BranchStatus.FORCED)
        ]
        if self._lengths is not None:
            self._lengths = self._lengths.updated(finished, cut)
        elif len(finished) >= _ENOUGH_LENGTHS:
            self._lengths = LengthModel.fit(finished, cut)
