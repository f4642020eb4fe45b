"""What users embed: an engine, and races on it."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self, Unpack
from warnings import warn

import anyio

from .agents.acting import Acted, Acting, Acts
from .agents.protocol import set_up
from .agents.tools import Tool
from .answers import WorkerPool, make_extractor
from .common.logs import configure_logs
from .config import Settings
from .engines.protocol import Engine, EngineLoad, RunsBeside, TakesThinking
from .errors import (
    ConfigError,
    EngineStartError,
)
from .events.event_stream import EventSink
from .model_files.families import is_named_later, with_family
from .prompts.messages import ChatMessage
from .racing.observers import Observer
from .racing.race_options import Question, RaceOptions, RawPrompt
from .racing.race_stream import RaceStream
from .result import Result
from .rewards import RewardModel, make_reward_model
from .scheduling.admission import AdmissionLoad
from .scheduling.race_runner import RaceRunner
from .scheduling.scoring import ScoredSink, ScoreOptions, Scorer

_ENTERED = (
    "this runtime is entered already: enter it once, where the program starts, and hand it to "
    "whoever races on it"
)


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
        self._warm, self._in_use = warm_up, False
        self.settings, rewards = set_up(engine, settings or Settings(), rewards)
        configure_logs(self.settings.log.level, self.settings.log.format)
        self.engine = engine
        self.rewards = rewards
        self.observers: list[Observer] = [*observers]
        self.tools, self._acts = [*tools], Acts()
        extractor, answers = make_extractor(self.settings.answers), self.settings.answers
        # Only mathematics is compared by algebra.
        algebra = answers.workers if extractor.key is None else 0
        self._workers = WorkerPool(algebra) if algebra else None
        self._races = RaceRunner(
            engine, self.settings, rewards, extractor, self._workers, self.observers, self.tools
        )
        self._scorer = Scorer(engine, self._races.maker, self.settings.race)

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
            RuntimeError: it is entered already.

        Cancelling it leaves no process behind.
        """
        if self._in_use:  # two starts of one engine, of which the first end closes it for both
            raise RuntimeError(_ENTERED)
        self._in_use = True
        try:
            await self._start()
            await self._races.start()
            await self._acts.start()
            for part in (self.engine, self.rewards):
                if isinstance(part, RunsBeside):
                    self._races.background.start_soon(part.run_beside)
            self._races.open(self.engine.info.max_branches, self.settings.race.queue)
            if self._warm:
                await self._races.warm_up()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the engine. Streams that are open end with ``EngineClosed``; a ``solve`` comes back
        with what is known.

        Cancelling it does not cut that short. It may be called in another task than entered it.
        """
        self._races.close()
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
                _ = self._races.maker.thinking.model.form  # which may be refused
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
        self._races.maker.adopt(settings)
        if isinstance(self.engine, TakesThinking):
            self.engine.take_thinking(settings.thinking)

    async def _close(self) -> None:
        races = self._races
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as closing:  # from the last to the first
                closing.callback(setattr, self, "_in_use", False)
                if self._workers is not None:
                    closing.push_async_callback(self._workers.aclose)
                # After the engine, whose end brings those that are awaited to theirs.
                closing.push_async_callback(races.race_tasks.aclose, races.leave_limit)
                closing.push_async_callback(self.engine.aclose)
                if self.rewards is not None:
                    closing.push_async_callback(self.rewards.aclose)
                # First, while the engine can still be told to abort.
                closing.push_async_callback(self._acts.aclose)
                closing.push_async_callback(races.background.aclose, races.leave_limit)

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
        return await self._races.solve(question, options)

    async def race(
        self, question: Question, on_event: EventSink, **options: Unpack[RaceOptions]
    ) -> Result:
        """``solve``, and ``on_event`` hears of every event as it happens, without a queue between.

        Args:
            question: see ``solve``.
            on_event: its ``push`` and ``push_progress`` are called where things happen, in order;
                they must be quick, and raise nothing. The last event comes just before the result.
            options: see ``solve``.

        Raises:
            BadRequest, Overloaded, EngineClosed: as ``solve``; nothing was told then.
        """
        return await self._races.solve(question, options, on_event)

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
        return await Acting(self._races.solve, self._acts, question, min_votes).run(
            options, self.settings.race.deadline
        )

    def stream(self, question: Question, **options: Unpack[RaceOptions]) -> RaceStream:
        """The same race as ``solve``, as typed events; the last one holds the result.

        Arguments and errors are those of ``solve``; all errors are raised on entering, which is
        also where the race waits if it must. Leaving the block early cancels the race, in whatever
        way and in whichever task it is left; a slow reader never holds it back.
        """
        return RaceStream(partial(self._races.begin, question, options))

    async def score(
        self,
        prompts: Sequence[RawPrompt],
        on_chunk: ScoredSink,
        *,
        name: str = "",
        **options: Unpack[ScoreOptions],
    ) -> Sequence[int]:
        """Log probabilities of prompts, of what the model writes behind them, or both; without a
        race: each text is one request to the engine.

        Args:
            on_chunk: hears of every chunk, and of its text's place: all choices of the first prompt
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
        races = self._races
        races.check_entered()
        races.check_up()
        lost = races.unacknowledged.extend
        return await self._scorer.run(races.admission, prompts, on_chunk, name, options, lost)

    def run_beside(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``function``, which must raise nothing, for as long as the runtime is entered: it is
        cancelled before the engine is closed.

        Raises:
            EngineClosed: the runtime is not entered.
        """
        self._races.check_entered()
        self._races.background.start_soon(function)

    def shorten_deadline(self, race_id: str, seconds: float) -> None:
        """Bring the deadline of a race that runs or waits forward to ``seconds`` from now.

        It comes back in time for that, with the best answer it has by then. Nothing if there is no
        such race, or if its deadline is earlier.
        """
        deadline = anyio.current_time() + seconds
        self._races.shorten_deadline(race_id, deadline)
        self._scorer.shorten_deadline(race_id, deadline)

    def hurry(self, race_id: str, seconds: float) -> None:
        """The name of ``shorten_deadline`` until version 0.2."""
        warn("use Runtime.shorten_deadline", DeprecationWarning, stacklevel=2)
        self.shorten_deadline(race_id, seconds)

    def delivered(self, result: Result, seconds: float) -> None:
        """Say that a result of this runtime was with whoever asked only ``seconds`` after it was
        returned: the next ones that run until their deadlines are called so much earlier."""
        self._races.record_delivery(result, seconds)

    def load(self) -> EngineLoad:
        """What the engine is doing now."""
        return self.engine.load()

    def admission_load(self) -> AdmissionLoad:
        """Who holds the engine's branches now, and who waits for some; all 0 before the start."""
        return self._races.admission.load()

    @property
    def lingering(self) -> int:
        """Races that are over while a task of them has not ended: a reward function in a thread, or
        an engine's stream that is slow to close. They end by themselves, or as the runtime is
        left."""
        return self._races.lingering
