"""The work of a race's branches: their streams, forced answers, probes and scores.

All that a race awaits for its branches is here. What comes in is told to the race, synchronously,
and the race alone decides what it means.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite
from typing import Any, Protocol

import anyio
import structlog

from frontrunner.strategies.protocol import BranchStatus

from ..answers import Clusters
from ..common.loop_clock import loop_time
from ..engines.protocol import (
    Chunk,
    Engine,
    FinishReason,
    Generation,
    Sampling,
    TokenSink,
    feeding,
)
from ..errors import EngineError
from ..rewards.protocol import RewardModel, Scoring
from .aborts import Aborts
from .branch import BackgroundForcing, Branch, ProbeRequest
from .deadline_reserve import DeadlineReserve
from .judgements import Judgements
from .race_tasks import cancel_each
from .seeds import branch_seed
from .spec import RaceSpec
from .token_text import TokenText

_log = structlog.get_logger("frontrunner.race")

#: Forced answers go before all other work of the engine.
_FORCED_PRIORITY = -(2**40)
#: A round of forced answers that was cut short counts as so many times as long as it took.
_CUT_SHORT = 1.5


class BranchListener(Protocol):
    """The race, as it is told what came of its branches' requests."""

    def sink(self, branch: Branch) -> TokenSink | None:
        """Where what a running branch generates goes; None: to ``on_chunk``."""
        ...

    def on_chunk(self, branch: Branch, chunk: Chunk, *, forced: bool) -> None:
        """A piece of text."""
        ...

    def on_suffix(self, branch: Branch) -> None:
        """A branch that was stopped is continued with the forcing suffix."""
        ...

    def on_answer(self, branch: Branch, answer: str | None, status: BranchStatus) -> None:
        """A branch has ended as ``status`` with ``answer``, its class's representative."""
        ...

    def on_lost(self, branch: Branch, status: BranchStatus, error: str) -> None:
        """The request that a branch held in ``status`` was lost."""
        ...

    def on_probe(self, branch: Branch, probe: ProbeRequest, answer: str | None) -> None:
        """What a branch would have answered when it was asked."""
        ...

    def on_probe_lost(self, branch: Branch, probe: ProbeRequest) -> None:
        """A probe brings nothing."""
        ...

    def on_score(self, branch: Branch, tokens: int, score: float | None) -> None:
        """The score of a branch's first ``tokens`` tokens; None: it failed."""
        ...


class _OnChunk(Protocol):
    def __call__(self, branch: Branch, chunk: Chunk, *, forced: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class ScoringTask:
    """A branch to be scored as it stood when it was asked for."""

    branch: Branch
    tokens: int  # that the score sees
    scoring: Scoring


@dataclass(frozen=True, slots=True)
class RaceServices:
    """What the requests of a race's branches need."""

    engine: Engine
    clusters: Clusters
    reserve: DeadlineReserve
    rewards: RewardModel | None = None
    judging: DeadlineReserve | None = None  # of judgements, where the reward model is a judge


class _Start(Protocol):
    def __call__(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        *arguments: object,
    ) -> None: ...


class _Round:
    """A round of forced answers, each in a task of its own; teaches the reserve how long a round
    takes that was predicted to take ``predicted`` seconds, if anything was asked in it."""

    __slots__ = ("_began", "_left", "_over", "_predicted", "_reserve", "alone", "asked", "cut")

    def __init__(
        self,
        branches: int,
        predicted: float,
        reserve: DeadlineReserve,
        over: Callable[[], None] | None = None,
    ) -> None:
        """
        Args:
            branches: that are asked.
            over: called when the last one has ended.
        """
        self._left = branches
        self._predicted = predicted
        self._reserve = reserve
        self._over = over
        self._began = loop_time()
        self.alone = branches == 1
        self.asked = False
        """Whether the engine was; else all answers stood in the texts already."""
        self.cut = False
        """Whether the end of the race cut it short: it would have taken longer still."""

    def one_ended(self) -> None:
        """The work for one branch is over."""
        self._left -= 1
        if self._left:
            return
        if self.asked:
            slow = _CUT_SHORT if self.cut else 1.0
            self._reserve.learn(self._predicted, slow * (loop_time() - self._began))
        if self._over is not None:
            self._over()


class BranchRequests:
    """Background tasks of one race; each method is one task."""

    def __init__(
        self,
        spec: RaceSpec,
        services: RaceServices,
        aborts: Aborts,
        listener: BranchListener,
        judgements: Judgements,
        start: _Start,
    ) -> None:
        """
        Args:
            start: starts a task of the race, in a scope by which it can be cancelled alone.
        """
        self._start = start
        self._spec = spec
        self._engine = services.engine
        self._feeder = feeding(services.engine)
        self._clusters = services.clusters
        self._reserve = services.reserve
        self._opening = spec.answers.opening(spec.forcing.suffix)
        self._rewards = services.rewards
        self._aborts = aborts
        self._listener = listener
        self._judgements = judgements
        self._forced_answers = spec.forced_answers or spec.answers

    async def run_branch(self, branch: Branch) -> None:
        """Run a branch to its end, within its scope."""
        if branch.status is not BranchStatus.RUNNING:
            return  # ended before it began, and its abort has come and gone
        spec = self._spec
        request = Generation(
            request_id=branch.request_id,
            prompt=(*spec.prompt, *branch.token_ids),
            max_tokens=max(1, spec.max_tokens - branch.tokens),
            sampling=spec.sampling,
            seed=branch.seed,
            priority=int(spec.deadline * 1000),
            branch=branch.index,
            race=spec.race_id,
            parent=branch.parent,
            deadline=spec.deadline,
        )
        await self._run(branch, request)
        if branch.status is BranchStatus.RUNNING:
            answers = self._spec.answers
            said = (answers.of_unfinished if branch.truncated else answers.find)(branch.text)
            await self._tell_answer(branch, said, branch.ends_as)

    async def abort_and_close(self, branches: Sequence[Branch], requests: Sequence[str]) -> None:
        """End ``branches``, whose ``requests`` still run, in one call to the engine."""
        await self._aborts.abort(requests)
        cancel_each([branch.scope for branch in branches])

    # ── forced answers ────────────────────────────────────────────────────────────────────────

    async def run_forced_round(
        self, branches: Sequence[Branch], requests: Sequence[str], predicted: float
    ) -> None:
        """Stop ``branches`` and get their answers, all in one batch, in ``predicted`` seconds."""
        round_ = _Round(len(branches), predicted, self._reserve)
        await self.abort_and_close(branches, requests)
        for branch in branches:
            self._start(anyio.CancelScope(), self._run_one, round_, self._run_forced, branch)

    def force_in_background(
        self,
        branches: Sequence[Branch],
        answers: Sequence[BackgroundForcing],
        predicted: float,
        over: Callable[[], None],
    ) -> None:
        """Get the answers of ``branches``, which run on, all in one batch, in ``predicted``
        seconds; then call ``over``."""
        round_ = _Round(len(branches), predicted, self._reserve, over)
        work = self._run_in_background
        for branch, background in zip(branches, answers, strict=True):
            self._start(background.scope, self._run_one, round_, work, branch, background)

    async def _run_one(
        self, round_: _Round, work: Callable[..., Awaitable[None]], *arguments: object
    ) -> None:
        whole = False
        try:
            await work(round_, *arguments)
            whole = True
        finally:
            round_.cut = round_.cut or not whole
            round_.one_ended()

    async def _run_forced(self, round_: _Round, branch: Branch) -> None:
        if branch.status is not BranchStatus.FORCING:
            return  # cut while its first request was being aborted
        said = self._spec.answers.of_unfinished(branch.text)
        if said is None and self._spec.answers.forcible:
            round_.asked = True
            branch.forced_request_id = f"{branch.request_id}-forced"
            branch.begin_forced(self._spec.forcing.after(branch.text).text)
            self._listener.on_suffix(branch)
            priority = _FORCED_PRIORITY + int(self._spec.deadline * 1000)
            request = self._continuation(branch, branch.forced_request_id, priority, round_.alone)
            await self._stream_forced(branch, request)
            said = self._find_forced(branch.said_when_forced)
        if branch.status is BranchStatus.FORCING:
            await self._tell_answer(branch, said, BranchStatus.FORCED)

    async def _run_in_background(
        self, round_: _Round, branch: Branch, background: BackgroundForcing
    ) -> None:
        if branch.background is not background:
            return  # its branch ended before this began
        said = self._spec.answers.of_unfinished(branch.text)
        if said is None and self._spec.answers.forcible:
            round_.asked = True
            background.begin(self._spec.forcing.after(branch.text).text)
            priority = _FORCED_PRIORITY + int(self._spec.deadline * 1000)
            request = self._continuation(branch, background.request_id, priority, round_.alone)
            said = await self._stream_in_background(background, request)
        background.said = said
        if background.running:
            background.running = False
            await self._aborts.abort([background.request_id])
        if said is not None:
            background.representative = await self._class_of(said)

    async def _stream_in_background(
        self, background: BackgroundForcing, request: Generation
    ) -> str | None:
        """The answer, as soon as it is complete."""
        background.running = True
        try:
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    background.forced_tokens += len(chunk.token_ids)
                    background.text.append(chunk.text, len(chunk.token_ids))
                    said = self._settled_forced(background.said_text)
                    if chunk.finish is not None:
                        background.running = False
                    if said is not None:
                        return said
        except Exception as error:  # noqa: BLE001 - the branch itself runs on
            background.running = False
            if not isinstance(error, EngineError):
                _log.exception("frontrunner.forcing_failed", race=self._spec.race_id)
            return None
        return self._find_forced(background.said_text)

    def _find_forced(self, said: str) -> str | None:
        """The answer in what came after the forcing suffix."""
        return self._forced_answers.find(self._opening + said)

    def _settled_forced(self, said: str) -> str | None:
        """The same while it is being written, once nothing that follows can change it."""
        return self._forced_answers.settled(self._opening + said)

    async def abort_background(self, background: BackgroundForcing) -> None:
        await self._aborts.abort([background.request_id])
        background.scope.cancel()

    def _continuation(
        self, branch: Branch, request_id: str, priority: int, greedy: bool
    ) -> Generation:
        """A branch's exact tokens and the forcing suffix, to be completed by an answer."""
        forcing = self._spec.forcing
        suffix = forcing.after(branch.text)
        return Generation(
            request_id=request_id,
            prompt=(*self._spec.prompt, *branch.token_ids, *suffix.token_ids),
            max_tokens=forcing.max_tokens,
            sampling=Sampling(
                temperature=0.0 if greedy else forcing.temperature, stop=forcing.stop
            ),
            seed=branch_seed(self._spec.seed, branch.index, forced=True),
            priority=priority,
            branch=branch.index,
            forced=True,
            race=self._spec.race_id,
            parent=branch.parent,
            deadline=self._spec.deadline,
        )

    # ── probes and scores ─────────────────────────────────────────────────────────────────────

    async def run_probe(self, branch: Branch, probe: ProbeRequest) -> None:
        """Ask a running branch, beside it, what it would answer."""
        if branch.probe is not probe:
            return  # dropped before it began
        probe.tokens, text = branch.tokens, TokenText()
        priority = int(self._spec.deadline * 1000)
        request = self._continuation(branch, probe.request_id, priority, greedy=True)
        with probe.scope:
            try:
                async with aclosing(self._engine.generate(request)) as chunks:
                    async for chunk in chunks:
                        text.append(chunk.text, 0)
                        branch.probe_tokens += len(chunk.token_ids)
            except Exception as error:  # noqa: BLE001 - a lost probe is nothing lost
                if not isinstance(error, EngineError):
                    _log.exception("frontrunner.probe_failed", race=self._spec.race_id)
            else:
                raw = self._find_forced(str(text))
                answer = await self._class_of(raw) if raw is not None else None
                self._listener.on_probe(branch, probe, answer)
                return
        self._listener.on_probe_lost(branch, probe)

    async def abort_probe(self, probe: ProbeRequest) -> None:
        await self._aborts.abort([probe.request_id])
        probe.scope.cancel()

    async def run_scoring(self, tasks: Sequence[ScoringTask]) -> None:
        """Score branches in one batch."""
        scores: Sequence[float | None] = []
        try:
            if self._rewards is not None:
                with self._judgements.measured([task.tokens for task in tasks]) as told:
                    scores = await self._rewards.score([task.scoring for task in tasks])
                    told.extend(scores)
        except Exception:  # noqa: BLE001 - a broken reward model costs the scores, not the answer
            _log.exception("frontrunner.scoring_failed", race=self._spec.race_id)
        for task, score in zip_longest(tasks, scores[: len(tasks)]):
            finite = score is not None and isfinite(score)
            self._listener.on_score(task.branch, task.tokens, score if finite else None)

    # ── streams and answers ───────────────────────────────────────────────────────────────────

    async def _run(self, branch: Branch, request: Generation) -> None:
        """Take in what a branch generates until it ends, or is not running any more."""
        sink = self._listener.sink(branch)
        try:
            if sink is not None and self._feeder is not None:
                finish = await self._feeder.feed(request, sink)
            else:
                told = self._listener.on_chunk
                finish = await _read(self._engine.generate(request), branch, sink, told)
        except Exception as error:  # noqa: BLE001 - whatever an engine raises costs one branch
            self._lose(branch, BranchStatus.RUNNING, error)
            return
        finally:
            branch.take_in()
            branch.catch_up = None
        if branch.status is BranchStatus.RUNNING:
            branch.truncated = finish is FinishReason.LENGTH
        self._check_end(branch, BranchStatus.RUNNING, finish)

    async def _stream_forced(self, branch: Branch, request: Generation) -> None:
        """Take in a forced answer's chunks until it is complete."""
        finish: FinishReason | None = None
        try:
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    if branch.status is not BranchStatus.FORCING:
                        return
                    finish = chunk.finish
                    if chunk.token_ids or chunk.text:
                        self._listener.on_chunk(branch, chunk, forced=True)
                    said = self._settled_forced(branch.said_when_forced)
                    if said is not None:
                        # Nothing that follows can change the answer: its box has closed, say.
                        branch.answered_request = request.request_id if finish is None else None
                        await self._tell_answer(branch, said, BranchStatus.FORCED)
                        if branch.answered_request is not None:
                            branch.answered_request = None
                            await self._aborts.abort([request.request_id])
                        return
        except Exception as error:  # noqa: BLE001 - whatever an engine raises costs one branch
            self._lose(branch, BranchStatus.FORCING, error)
            return
        self._check_end(branch, BranchStatus.FORCING, finish)

    def _lose(self, branch: Branch, status: BranchStatus, error: Exception) -> None:
        if not isinstance(error, EngineError):
            _log.exception("frontrunner.branch_failed", race=self._spec.race_id)
        self._listener.on_lost(branch, status, str(error) or type(error).__name__)

    def _check_end(self, branch: Branch, status: BranchStatus, finish: FinishReason | None) -> None:
        if finish not in (FinishReason.STOP, FinishReason.LENGTH):
            self._listener.on_lost(
                branch, status, f"the engine ended the request ({finish or 'no reason'})"
            )

    async def _tell_answer(self, branch: Branch, raw: str | None, ends_as: BranchStatus) -> None:
        """Find the class that the branch's answer belongs to, which may take a worker a while."""
        status = branch.status
        branch.pending_answer = raw
        answer = await self._class_of(raw) if raw is not None else None
        if branch.status is status:
            self._listener.on_answer(branch, answer, ends_as)

    async def _class_of(self, raw: str) -> str:
        """The representative of the equivalence class that ``raw`` belongs to."""
        try:
            return await self._clusters.assign(raw)
        except Exception:  # noqa: BLE001 - a broken comparison leaves the spelling
            _log.exception("frontrunner.comparison_failed", race=self._spec.race_id)
            return self._clusters.assign_now(raw)


async def _read(
    chunks: AsyncGenerator[Chunk, None],
    branch: Branch,
    sink: TokenSink | None,
    on_chunk: "_OnChunk",
) -> FinishReason | None:
    """Put the chunks of a running branch into ``sink``, or tell them, until they end or it does not
    run any more; returns why they ended."""
    finish: FinishReason | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            if branch.status is not BranchStatus.RUNNING:
                return finish
            finish = chunk.finish
            if not chunk.token_ids and not chunk.text:
                continue
            if sink is not None:
                sink.put(chunk.text, chunk.token_ids, chunk.confidences)
            else:
                on_chunk(branch, chunk, forced=False)
    return finish
