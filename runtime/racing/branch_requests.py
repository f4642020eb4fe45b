"""The work of a race's branches: their streams, forced answers, probes and scores.

All that a race awaits for its branches is here. What comes in is told to the race, synchronously,
and the race alone decides what it means.
"""

from collections.abc import Generator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite
from typing import Protocol

import anyio
import structlog

from frontrunner.strategies.protocol import BranchStatus

from ..answers import Clusters
from ..engines.protocol import Chunk, Engine, FinishReason, Generation, Sampling
from ..errors import EngineError
from ..rewards.protocol import RewardModel, Scoring
from .aborts import Aborts
from .branch import Branch, ForcedBeside, SideRequest, Text
from .deadline_reserve import Reserve
from .seeds import branch_seed
from .spec import RaceSpec

_log = structlog.get_logger("frontrunner.race")

#: Forced answers go before all other work of the engine.
_FORCED_PRIORITY = -(2**40)


class Listener(Protocol):
    """The race, as its branches' work tells it what came in."""

    def took(self, branch: Branch, chunk: Chunk, *, forced: bool) -> None:
        """A piece of text."""
        ...

    def arrived(self, branch: Branch, answer: str | None, status: BranchStatus) -> None:
        """A branch has ended as ``status`` with ``answer``, its class's representative."""
        ...

    def lost(self, branch: Branch, status: BranchStatus, error: str) -> None:
        """The request that a branch held in ``status`` was lost."""
        ...

    def probed(self, branch: Branch, tokens: int, answer: str | None) -> None:
        """What a branch would have answered after ``tokens`` tokens."""
        ...

    def scored(self, branch: Branch, tokens: int, score: float | None) -> None:
        """The score of a branch's first ``tokens`` tokens; None: it failed."""
        ...


@dataclass(frozen=True, slots=True)
class ScoringTask:
    """A branch to be scored as it stood when it was asked for."""

    branch: Branch
    tokens: int  # that the score sees
    scoring: Scoring


class BranchWork:
    """Background tasks of one race; each method is one task."""

    def __init__(
        self,
        spec: RaceSpec,
        engine: Engine,
        clusters: Clusters,
        reserve: Reserve,
        aborts: Aborts,
        rewards: RewardModel | None,
        listener: Listener,
    ) -> None:
        self._spec = spec
        self._engine = engine
        self._clusters = clusters
        self._reserve = reserve
        self._aborts = aborts
        self._rewards = rewards
        self._listener = listener

    async def run_branch(self, branch: Branch) -> None:
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
        )
        with branch.scope:
            await self._stream(branch, request, BranchStatus.RUNNING)
            if branch.status is BranchStatus.RUNNING:
                await self._read_answer(branch, branch.text, BranchStatus.FINISHED)

    async def abort_and_close(self, branches: list[Branch], requests: list[str]) -> None:
        """End ``branches``, whose ``requests`` still run, in one call to the engine."""
        await self._aborts.abort(requests)
        for branch in branches:
            branch.scope.cancel()

    # ── forced answers ────────────────────────────────────────────────────────────────────────

    async def run_forced_round(
        self, branches: list[Branch], requests: list[str], predicted: float
    ) -> None:
        """Stop ``branches`` and get their answers, all in one batch, in ``predicted`` seconds."""
        with self._measured(predicted if requests else None):
            await self.abort_and_close(branches, requests)
            async with anyio.create_task_group() as together:
                for branch in branches:
                    together.start_soon(self._run_forced, branch, len(branches) == 1)

    async def run_forced_beside(self, branches: list[Branch], predicted: float) -> None:
        """Get the answers of ``branches``, which run on, all in one batch, in ``predicted``
        seconds."""
        with self._measured(predicted):
            async with anyio.create_task_group() as together:
                for branch in branches:
                    if (beside := branch.beside) is not None:
                        alone = len(branches) == 1
                        together.start_soon(self._run_beside, branch, beside, alone)

    @contextmanager
    def _measured(self, predicted: float | None) -> Generator[None, None, None]:
        """Teach the reserve how long a round takes that was predicted to take ``predicted``."""
        began = anyio.current_time()
        slow = 1.5  # a round that the end of the race cut short would have taken longer still
        try:
            yield
            slow = 1.0
        finally:
            if predicted is not None:
                self._reserve.learn(predicted, slow * (anyio.current_time() - began))

    async def _run_forced(self, branch: Branch, alone: bool) -> None:
        if branch.status is not BranchStatus.FORCING:
            return  # cut while its first request was being aborted
        if self._spec.answers.forcible and self._spec.answers.find(branch.text) is None:
            branch.forced_request_id = f"{branch.request_id}-forced"
            branch.extend_forced(self._spec.forcing.suffix, 0)
            priority = _FORCED_PRIORITY + int(self._spec.deadline * 1000)
            request = self._continuation(branch, branch.forced_request_id, priority, alone)
            await self._stream(branch, request, BranchStatus.FORCING)
        if branch.status is BranchStatus.FORCING:
            text = branch.forced_text or branch.text
            await self._read_answer(branch, text, BranchStatus.FORCED)

    async def _run_beside(self, branch: Branch, beside: ForcedBeside, alone: bool) -> None:
        if branch.beside is not beside:
            return  # its branch ended before this began
        said = self._spec.answers.find(branch.text)
        if said is None and self._spec.answers.forcible:
            beside.text.append(self._spec.forcing.suffix, 0)
            priority = _FORCED_PRIORITY + int(self._spec.deadline * 1000)
            request = self._continuation(branch, beside.request_id, priority, alone)
            with beside.scope:
                said = await self._stream_beside(beside, request)
        beside.said = said
        if beside.running:
            beside.running = False
            await self._aborts.abort([beside.request_id])
        if said is not None:
            beside.answer = await self._class_of(said)

    async def _stream_beside(self, beside: ForcedBeside, request: Generation) -> str | None:
        """The answer, as soon as it is complete."""
        beside.running = True
        try:
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    beside.forced_tokens += len(chunk.token_ids)
                    beside.text.append(chunk.text, beside.forced_tokens)
                    said = self._spec.answers.settled(str(beside.text))
                    if chunk.finish is not None:
                        beside.running = False
                    if said is not None:
                        return said
        except Exception as error:  # noqa: BLE001 - the branch itself runs on
            beside.running = False
            if not isinstance(error, EngineError):
                _log.exception("frontrunner.forcing_failed", race=self._spec.race_id)
            return None
        return self._spec.answers.find(str(beside.text))

    async def abort_beside(self, beside: ForcedBeside) -> None:
        await self._aborts.abort([beside.request_id])
        beside.scope.cancel()

    def _continuation(
        self, branch: Branch, request_id: str, priority: int, greedy: bool
    ) -> Generation:
        """A branch's exact tokens and the forcing suffix, to be completed by an answer."""
        forcing = self._spec.forcing
        return Generation(
            request_id=request_id,
            prompt=(*self._spec.prompt, *branch.token_ids, *forcing.suffix_ids),
            max_tokens=forcing.max_tokens,
            sampling=Sampling(
                temperature=0.0 if greedy else forcing.temperature, stop=forcing.stop
            ),
            seed=branch_seed(self._spec.seed, branch.index, forced=True),
            priority=priority,
            branch=branch.index,
            forced=True,
        )

    # ── probes and scores ─────────────────────────────────────────────────────────────────────

    async def run_probe(self, branch: Branch, probe: SideRequest) -> None:
        """Ask a running branch, beside it, what it would answer."""
        if branch.probe is not probe:
            return  # dropped before it began
        tokens, text = branch.tokens, Text()
        text.append(self._spec.forcing.suffix, 0)
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
                raw = self._spec.answers.find(str(text))
                answer = await self._class_of(raw) if raw is not None else None
                if branch.probe is probe:
                    branch.probe = None
                    self._listener.probed(branch, tokens, answer)
            if branch.probe is probe:
                branch.probe = None

    async def abort_probe(self, probe: SideRequest) -> None:
        await self._aborts.abort([probe.request_id])
        probe.scope.cancel()

    async def run_scoring(self, tasks: list[ScoringTask]) -> None:
        """Score branches in one batch."""
        scores: Sequence[float | None] = [None] * len(tasks)
        try:
            if self._rewards is not None:
                scores = await self._rewards.score([task.scoring for task in tasks])
        except Exception:  # noqa: BLE001 - a broken reward model costs the scores, not the answer
            _log.exception("frontrunner.scoring_failed", race=self._spec.race_id)
        for task, score in zip_longest(tasks, scores[: len(tasks)]):
            finite = score is not None and isfinite(score)
            self._listener.scored(task.branch, task.tokens, score if finite else None)

    # ── streams and answers ───────────────────────────────────────────────────────────────────

    async def _stream(self, branch: Branch, request: Generation, status: BranchStatus) -> None:
        """Take in a request's chunks until it ends or the branch leaves ``status``."""
        finish: FinishReason | None = None
        try:
            async with aclosing(self._engine.generate(request)) as chunks:
                async for chunk in chunks:
                    if branch.status is not status:
                        return
                    finish = chunk.finish
                    if chunk.token_ids or chunk.text:
                        self._listener.took(branch, chunk, forced=request.forced)
                    if (
                        request.forced
                        and self._spec.answers.settled(branch.forced_text) is not None
                    ):
                        # Nothing that follows can change the answer: its box has closed, say.
                        branch.answered_request = request.request_id if finish is None else None
                        await self._read_answer(branch, branch.forced_text, BranchStatus.FORCED)
                        if branch.answered_request is not None:
                            branch.answered_request = None
                            await self._aborts.abort([request.request_id])
                        return
        except Exception as error:  # noqa: BLE001 - whatever an engine raises costs one branch
            if not isinstance(error, EngineError):
                _log.exception("frontrunner.branch_failed", race=self._spec.race_id)
            self._listener.lost(branch, status, str(error) or type(error).__name__)
            return
        if status is BranchStatus.RUNNING:
            branch.truncated = finish is FinishReason.LENGTH
        if finish not in (FinishReason.STOP, FinishReason.LENGTH):
            self._listener.lost(
                branch, status, f"the engine ended the request ({finish or 'no reason'})"
            )

    async def _read_answer(self, branch: Branch, text: str, ends_as: BranchStatus) -> None:
        """Find the branch's answer and the class it belongs to, which may take a worker a while."""
        raw = self._spec.answers.find(text)
        status = branch.status
        branch.pending_answer = raw
        answer = await self._class_of(raw) if raw is not None else None
        if branch.status is status:
            self._listener.arrived(branch, answer, ends_as)

    async def _class_of(self, raw: str) -> str:
        """The representative of the equivalence class that ``raw`` belongs to."""
        try:
            return await self._clusters.assign(raw)
        except Exception:  # noqa: BLE001 - a broken comparison leaves the spelling
            _log.exception("frontrunner.comparison_failed", race=self._spec.race_id)
            return self._clusters.assign_now(raw)
