"""What users embed: an engine, and races on it."""

import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self, Unpack
from uuid import uuid4

import anyio
import structlog
from pydantic import ValidationError

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus, Needs, Strategy, needs_of
from frontrunner.strategies.registry import create_strategy, merge_parameters

from .answers import (
    AnswerClusters,
    Clusters,
    Equivalence,
    ExactClusters,
    Extractor,
    WorkerPool,
    make_extractor,
)
from .config import AnswerSettings, SamplingSettings, Settings
from .engines.protocol import Engine, EngineLoad, Message, Sampling
from .errors import (
    BadBranches,
    BadDeadline,
    BadRequest,
    DeadlineTooShort,
    EmptyQuestion,
    EngineClosed,
    EngineError,
    EngineStartError,
    PromptTooLong,
)
from .event_stream import EventStream
from .events import Event
from .logs import configure_logs
from .race import Race
from .race_options import Question, RaceOptions, RawPrompt
from .race_spec import Forcing, RaceSpec
from .reserve import Reserve
from .result import Result
from .rewards import RewardModel, make_reward_model

_log = structlog.get_logger("frontrunner.runtime")

#: What an engine step is taken to last before one was measured, in seconds.
_FALLBACK_STEP = 0.05
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
    ) -> None:
        """
        Args:
            engine: started and closed by the runtime.
            settings: all but ``settings.engine``, which is the engine's own.
            rewards: what scores branches, for strategies that ask for it; started and closed by
                the runtime.
            warm_up: also start the processes that compare answers, so that the first symbolic
                answers need not wait for them (about a second of CPU time).
        """
        self._warm = warm_up
        self.settings = settings or Settings()
        configure_logs(self.settings.log)
        self.engine = engine
        self.rewards = rewards
        race, answers, lengths = self.settings.race, self.settings.answers, self.settings.lengths
        self._reserve = Reserve(race.return_margin, _FALLBACK_STEP)
        self._extractor = make_extractor(answers)
        # Only mathematics is compared by algebra.
        algebra = answers.workers if self._extractor.key is None else 0
        self._workers = WorkerPool(algebra) if algebra else None
        self._equivalence = Equivalence(self._workers, answers.compare_timeout)
        self._lengths = LengthModel.from_quantiles(lengths.median, lengths.p95) if lengths else None
        self._unaborted: list[str] = []
        self._entered = False

    @classmethod
    def from_config(cls, config: str | Path | Settings) -> Self:
        """A runtime on the vLLM engine that a TOML file (or ``Settings``) describes.

        Raises:
            ConfigError: naming the file and the key.
            EngineStartError: if vLLM is not installed.
        """
        from .engines.vllm import VllmEngine

        settings = config if isinstance(config, Settings) else Settings.from_toml(config)
        engine = VllmEngine(settings.engine)
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
        except BaseException:
            await self._close()
            raise
        self._entered = True
        if self._warm:
            await self._rehearse()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._entered = False
        await self._close()

    async def _start(self) -> None:
        failure: EngineStartError | None = None
        async with anyio.create_task_group() as tasks:
            if self._workers is not None and self._warm:
                tasks.start_soon(self._workers.warm_up)
            try:
                await self.engine.start()
                if self.rewards is not None:
                    await self.rewards.start()
            except EngineStartError as error:
                failure = error  # raised outside, where no ExceptionGroup wraps it
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _rehearse(self) -> None:
        """Run a race into its deadline, so that the reserve for forced answers is measured before
        the first one that counts."""
        step = self.engine.load().step_seconds or _FALLBACK_STEP
        race = self._prepare(
            "Count from one to ten.",
            {
                "deadline": 60 * step + self._reserve.return_margin,
                "strategy": "majority",
                "parameters": {"stop": "none"},
            },
        )
        await race.run()

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                if self.rewards is not None:
                    await self.rewards.aclose()
            finally:
                try:
                    await self.engine.aclose()
                finally:
                    if self._workers is not None:
                        await self._workers.aclose()

    async def solve(
        self,
        question: Question,
        **options: Unpack[RaceOptions],
    ) -> Result:
        """Race ``question`` and return the best answer by the deadline.

        Args:
            question: text, chat messages in OpenAI's form, or a ``Prompt``.
            options: see ``RaceOptions``; what is not given comes from the settings.

        Raises:
            BadRequest: the request cannot be run as it is (see ``errors``).
            EngineClosed: the runtime was not entered.

        Cancelling it aborts every branch.
        """
        race = self._prepare(question, options)
        return await self._run(race)

    @asynccontextmanager
    async def stream(
        self,
        question: Question,
        **options: Unpack[RaceOptions],
    ) -> AsyncGenerator[EventStream, None]:
        """The same race as ``solve``, as typed events; the last one holds the result.

        Arguments and errors are those of ``solve``. Leaving the block early cancels the race;
        a slow reader never holds it back.
        """
        events = EventStream()
        race = self._prepare(question, options, publish=events.push)

        async def run() -> None:
            try:
                await self._run(race)
            finally:
                events.close()

        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            try:
                yield events
            except Exception as error:  # noqa: BLE001 - the caller's own, raised again below
                # Left to the task group it would reach the caller inside an ExceptionGroup.
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def load(self) -> EngineLoad:
        """What the engine is doing now."""
        return self.engine.load()

    # ── preparing ─────────────────────────────────────────────────────────────────────────────

    def _prepare(
        self,
        question: Question,
        options: RaceOptions,
        publish: Callable[[Event], None] | None = None,
    ) -> Race:
        """Check a request and make its race; all errors of input are raised here."""
        began = anyio.current_time()
        if not self._entered:
            raise EngineClosed("enter the runtime first: async with Runtime.from_config(…)")
        forcing = self.settings.forcing
        seconds = self._checked_deadline(options.get("deadline"))
        count = self._checked_branches(options.get("branches"))
        name = options.get("strategy") or self.settings.race.strategy
        chosen = self._make_strategy(name, options.get("parameters"), count)
        needs = self._checked_needs(name, chosen)
        answers = self._chosen_answers(options.get("answers"))
        sampling, max_tokens = self._chosen_sampling(options, needs)
        messages, prompt = self._encoded(question, options.get("tools"))
        suffix_ids = self.engine.encode(forcing.suffix)
        room = self.engine.info.max_context_tokens - len(prompt)
        room -= len(suffix_ids) + forcing.max_tokens
        if room < 1:
            raise PromptTooLong(len(prompt), self.engine.info.max_context_tokens)
        spec = RaceSpec(
            race_id=uuid4().hex[:12],
            prompt=prompt,
            began=began,
            deadline=began + seconds,
            sampling=sampling,
            max_tokens=min(room, max_tokens),
            max_branches=count,
            forcing=Forcing(
                forcing.suffix, suffix_ids, forcing.max_tokens, forcing.stop, forcing.temperature
            ),
            question=messages,
            seed=options.get("seed"),
            answers=answers,
            abort_limit=self.settings.race.abort_limit,
        )
        clusters: Clusters = (
            AnswerClusters(self._equivalence) if answers.key is None else ExactClusters(answers.key)
        )
        return Race(
            spec,
            self.engine,
            chosen,
            clusters,
            self._reserve,
            lengths=self._lengths,
            rewards=self.rewards,
            publish=publish,
        )

    def _encoded(
        self, question: Question, tools: Sequence[Mapping[str, Any]] | None
    ) -> tuple[Sequence[Message], tuple[int, ...]]:
        """The conversation, and its token ids up to where the answer begins."""
        if isinstance(question, RawPrompt):
            if tools:
                raise BadRequest("a raw prompt has no chat template to put tools into")
            content = question.content
            if not content:
                raise EmptyQuestion
            if isinstance(content, str):
                return [{"role": "user", "content": content}], self.engine.encode(content)
            return [], content
        messages = _as_messages(question)
        return messages, self.engine.encode_chat(messages, tools)

    def _chosen_answers(self, kind: str | None) -> Extractor:
        if kind is None or kind == self.settings.answers.kind:
            return self._extractor
        try:
            return make_extractor(AnswerSettings(kind=kind))
        except ValidationError as error:
            raise BadRequest(f"answers: {error.errors()[0]['msg']}") from error

    def _chosen_sampling(self, options: RaceOptions, needs: Needs) -> tuple[Sampling, int]:
        """How tokens are drawn, and how many at most."""
        said = {
            key: value
            for key in ("temperature", "top_p", "top_k", "max_tokens", "stop")
            if (value := options.get(key)) is not None
        }
        try:
            chosen = SamplingSettings.model_validate(
                self.settings.sampling.model_dump(exclude_unset=True) | said
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise BadRequest(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return (
            Sampling(chosen.temperature, chosen.top_p, chosen.top_k, chosen.stop, needs.logprobs),
            chosen.max_tokens,
        )

    def _checked_deadline(self, deadline: float | None) -> float:
        seconds = self.settings.race.deadline if deadline is None else deadline
        if not math.isfinite(seconds) or seconds <= 0:
            raise BadDeadline(seconds)
        # The least that can be asked for: one step to take in the prompt and the suffix, one for
        # a token of the answer, and the way back.
        step = self.engine.load().step_seconds or _FALLBACK_STEP
        needed = 2 * step + self._reserve.return_margin
        if seconds < needed:
            raise DeadlineTooShort(seconds, needed)
        return seconds

    def _checked_branches(self, branches: int | None) -> int:
        count = self.settings.race.branches if branches is None else branches
        limit = self.engine.info.max_branches
        if not 1 <= count <= limit:
            raise BadBranches(count, limit)
        return count

    def _make_strategy(
        self, name: str, parameters: Mapping[str, Any] | None, branches: int
    ) -> Strategy:
        race = self.settings.race
        if parameters and "branches" in parameters:
            raise BadRequest("branches is an argument of its own, not one of the parameters")
        asked = {**(parameters or {}), "branches": branches}
        given = dict(race.parameters) if name == race.strategy else {}
        try:
            return create_strategy(name, merge_parameters(name, given, asked))
        except (ValueError, TypeError) as error:
            raise BadRequest(str(error)) from error

    def _checked_needs(self, name: str, strategy: Strategy) -> Needs:
        needs = needs_of(strategy)
        if needs.rewards and self.rewards is None:
            raise BadRequest(
                f"{name} needs a reward model: set [rewards] in the config, or pass one to Runtime"
            )
        if needs.logprobs and not self.engine.info.logprobs:
            raise BadRequest(
                f"{name} needs log probabilities, which this engine cannot give (vLLM does not "
                "give them reliably with speculation)"
            )
        return needs

    # ── running ───────────────────────────────────────────────────────────────────────────────

    async def _run(self, race: Race) -> Result:
        try:
            result = await self._run_beside_retries(race)
        finally:
            self._unaborted += race.unaborted
        self._learn(result)
        _log.info(
            "frontrunner.race_decided",
            race=result.race_id,
            stop_reason=result.stop_reason,
            elapsed=round(result.elapsed, 4),
            deadline=result.deadline,
            tokens_generated=result.tokens_generated,
            tokens_saved=result.tokens_saved,
        )
        return result

    async def _run_beside_retries(self, race: Race) -> Result:
        if not self._unaborted:
            return await race.run()
        result: Result | None = None
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._retry_aborts)
            result = await race.run()
            beside.cancel_scope.cancel()
        assert result is not None
        return result

    async def _retry_aborts(self) -> None:
        """Tell the engine again what it could not be told when a race ended: it was stalled.

        Runs beside the next race, which it must not hold up.
        """
        requests = list(self._unaborted)
        with suppress(EngineError):  # it is dead or closed, and runs nothing
            await self.engine.abort(requests)
        self._unaborted = [r for r in self._unaborted if r not in requests]

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
            if b.status in (BranchStatus.CANCELLED, BranchStatus.FORCED)
        ]
        if self._lengths is not None:
            self._lengths = self._lengths.updated(finished, cut)
        elif len(finished) >= _ENOUGH_LENGTHS:
            self._lengths = LengthModel.fit(finished, cut)


def _as_messages(question: str | Sequence[Message]) -> Sequence[Message]:
    """The conversation that ``question`` stands for.

    Raises:
        EmptyQuestion: it says nothing.
    """
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
    if not any(str(message.get("content") or "").strip() for message in messages):
        raise EmptyQuestion
    return messages
