"""One question's race: branches stream, the strategy decides, losers are aborted, time is kept.

::

    run ── task group ─┬─ watch_clock          call time, then the hard stop
                       ├─ branch 0 … B-1       stream → answer → observation ─┐
                       └─ forced round         abort all, continue all        │
                                 ▲                                            │
                                 └──── commands ◄──── Strategy ◄──────────────┘

Everything here runs in one event loop, and observations are handed to the strategy synchronously
where they arise: there is no queue between an answer and the decision that it allows.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from statistics import median

import anyio
import structlog
from anyio.abc import TaskGroup

from frontrunner.strategies import protocol as told
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import BranchStatus, Command, Decide, Observation, Strategy
from frontrunner.strategies.votes import tally

from . import events
from .answers import AnswerClusters, extract_answer
from .branch import Branch
from .engines.protocol import Chunk, Engine, FinishReason, Generation, Sampling
from .errors import EngineError
from .race_spec import RaceSpec
from .reserve import Reserve
from .result import Result
from .seeds import branch_seed
from .summary import by_votes, summarise

_log = structlog.get_logger("frontrunner.race")

#: How often the call time is worked out anew while it draws near, in seconds.
_CLOCK_STEP = 0.02
#: Forced answers go before all other work of the engine.
_FORCED_PRIORITY = -(2**40)


class Race:
    """Runs one race; satisfies ``RaceView`` for its strategy."""

    def __init__(
        self,
        spec: RaceSpec,
        engine: Engine,
        strategy: Strategy,
        clusters: AnswerClusters,
        reserve: Reserve,
        *,
        lengths: LengthModel | None = None,
        publish: Callable[[events.Event], None] | None = None,
    ) -> None:
        self._spec = spec
        self._engine = engine
        self._strategy = strategy
        self._clusters = clusters
        self._reserve = reserve
        self._lengths = lengths
        self._watched = publish is not None
        self._publish = publish or _discard
        self._branches: dict[int, Branch] = {}
        self._arrivals: list[int] = []
        self._observations: deque[Observation] = deque()
        self._observing = False
        self._decision: Decide | None = None
        self._decided = anyio.Event()
        self._tasks: TaskGroup | None = None
        self.unaborted: list[str] = []  # requests that the engine could not be told to abort

    # ── what the strategy sees ────────────────────────────────────────────────────────────────

    @property
    def branches(self) -> Mapping[int, Branch]:
        return self._branches

    @property
    def arrivals(self) -> Sequence[int]:
        return self._arrivals

    @property
    def reachable_tokens(self) -> float | None:
        now = anyio.current_time()
        speeds = [
            b.tokens / (now - b.first_token_at)
            for b in self._branches.values()
            if b.status is BranchStatus.RUNNING
            and b.first_token_at is not None
            and b.tokens > 1
            and now > b.first_token_at
        ]
        if not speeds:
            return None
        return max(0.0, self._hard_stop - now) * median(speeds)

    @property
    def lengths(self) -> LengthModel | None:
        if self._lengths is None:
            return None
        return self._lengths.updated(
            b.tokens for b in self._branches.values() if b.status is BranchStatus.FINISHED
        )

    # ── running ───────────────────────────────────────────────────────────────────────────────

    async def run(self) -> Result:
        """Run the race to its decision.

        Never raises for what happens inside. Cancelling it aborts every branch first.
        """
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._publish(
                    events.RaceStarted(
                        self._at(),
                        self._spec.race_id,
                        self._spec.deadline - self._spec.began,
                        self._spec.max_branches,
                        len(self._spec.prompt),
                    )
                )
                self._execute(self._start())
                self._drain()
                tasks.start_soon(self._watch_clock)
                await self._decided.wait()
                await self._abort_all()
                tasks.cancel_scope.cancel()
        finally:
            # Only a race cut short from outside still has requests here.
            await self._abort_all()
        return self._conclude()

    async def _watch_clock(self) -> None:
        """Calls time: first for the forced answers, then for good.

        The reserve follows the engine's load, so the call time is worked out anew on the way.
        """
        while True:
            left = self._spec.deadline - self._reserve_seconds() - anyio.current_time()
            if left <= 0:
                break
            await anyio.sleep(min(left, max(_CLOCK_STEP, left / 2)))
        self._settle_pending()
        reserve = self._spec.deadline - anyio.current_time()
        self._publish(events.CallTimeReached(self._at(), reserve))
        self._observe(told.CallTimeReached())
        await anyio.sleep_until(self._hard_stop)
        self._settle_pending()
        self._call(None)

    @property
    def _hard_stop(self) -> float:
        """When the race is called at the latest (anyio clock, seconds)."""
        return self._spec.deadline - self._reserve.return_margin

    def _call(self, decision: Decide | None) -> None:
        """End the race with ``decision``, or with the strategy's best answer now."""
        if self._decision is not None:
            return
        if decision is None:
            try:
                decision = self._strategy.conclude(self)
            except Exception:  # noqa: BLE001 - a user's strategy may fail; the answer may not
                _log.exception("frontrunner.strategy_failed", race=self._spec.race_id)
                decision = _fallback_decision(self)
        self._decision = decision
        self._decided.set()

    def _reserve_seconds(self) -> float:
        unfinished = sum(b.status is BranchStatus.RUNNING for b in self._branches.values())
        return self._reserve.seconds(self._predict_round(unfinished))

    def _predict_round(self, branches: int) -> float:
        forcing = self._spec.forcing
        return self._reserve.round_seconds(
            branches,
            len(forcing.suffix_ids),
            forcing.max_tokens,
            self._engine.info,
            self._engine.load(),
        )

    # ── observations and commands ─────────────────────────────────────────────────────────────

    def _observe(self, observation: Observation) -> None:
        self._observations.append(observation)
        self._drain()

    def _drain(self) -> None:
        """Hand over all observations; those that commands cause come after, not inside."""
        if self._observing:
            return
        self._observing = True
        try:
            while self._observations and self._decision is None:
                observation = self._observations.popleft()
                self._execute(self._asked(lambda o=observation: self._strategy.observe(o, self)))
        finally:
            self._observing = False

    def _start(self) -> Sequence[Command]:
        try:
            return self._strategy.start(self)
        except Exception:  # noqa: BLE001 - a strategy that cannot start is no reason not to answer
            _log.exception("frontrunner.strategy_failed", race=self._spec.race_id)
            self._strategy = Majority()
            return self._strategy.start(self)

    def _asked(self, ask: Callable[[], Sequence[Command]]) -> Sequence[Command]:
        try:
            return ask()
        except Exception:  # noqa: BLE001 - see _call: the race goes on, the clock still ends it
            _log.exception("frontrunner.strategy_failed", race=self._spec.race_id)
            return []

    def _execute(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if self._decision is not None:
                return
            match command:
                case told.Launch(count):
                    self._launch(count)
                case told.Cancel(indices, reason):
                    self._cancel(indices, reason)
                case told.Force(indices):
                    self._force(indices)
                case told.Decide():
                    self._call(command)
                case told.Score():
                    _log.warning("frontrunner.no_reward_model", race=self._spec.race_id)

    def _launch(self, count: int) -> None:
        assert self._tasks is not None
        room = self._spec.max_branches - len(self._branches)
        for _ in range(min(count, room)):
            index = len(self._branches)
            branch = Branch(
                index=index,
                request_id=f"{self._spec.race_id}-b{index}",
                seed=branch_seed(self._spec.seed, index),
                launched_at=anyio.current_time(),
            )
            self._branches[index] = branch
            self._publish(events.BranchStarted(self._at(), index, branch.seed))
            self._observations.append(told.BranchStarted(index))
            self._tasks.start_soon(self._run_branch, branch)

    def _cancel(self, indices: Sequence[int], reason: str) -> None:
        assert self._tasks is not None
        losers = [b for b in self._select(indices) if b.status.active]
        requests = [r for b in losers if (r := b.active_request()) is not None]
        for branch in losers:
            self._end(branch, BranchStatus.CANCELLED, reason)
        self._tasks.start_soon(self._abort_and_close, losers, requests)

    def _force(self, indices: Sequence[int]) -> None:
        assert self._tasks is not None
        chosen = [
            b
            for b in self._select(indices)
            if b.status is BranchStatus.RUNNING
            or (b.status is BranchStatus.FINISHED and b.answer is None)
        ]
        requests = [b.request_id for b in chosen if b.status is BranchStatus.RUNNING]
        for branch in chosen:
            branch.status = BranchStatus.FORCING
            branch.pending_answer = None
            self._publish(events.BranchForcing(self._at(), branch.index, branch.tokens))
        self._arrivals = [i for i in self._arrivals if self._branches[i] not in chosen]
        self._tasks.start_soon(self._run_forced_round, chosen, requests)

    def _select(self, indices: Sequence[int]) -> list[Branch]:
        return [self._branches[i] for i in dict.fromkeys(indices) if i in self._branches]

    # ── branches ──────────────────────────────────────────────────────────────────────────────

    async def _run_branch(self, branch: Branch) -> None:
        if branch.status is not BranchStatus.RUNNING:
            return  # ended before it began, and its abort has come and gone
        spec = self._spec
        request = Generation(
            request_id=branch.request_id,
            prompt=spec.prompt,
            max_tokens=spec.max_tokens,
            sampling=spec.sampling,
            seed=branch.seed,
            priority=int(spec.deadline * 1000),
            branch=branch.index,
        )
        with branch.scope:
            await self._stream(branch, request, BranchStatus.RUNNING)
            if branch.status is BranchStatus.RUNNING:
                await self._read_answer(branch, branch.text, BranchStatus.FINISHED)

    async def _run_forced_round(self, branches: list[Branch], requests: list[str]) -> None:
        """Stop ``branches`` and get their answers, all in one batch."""
        predicted, began = self._predict_round(len(branches)), anyio.current_time()
        slow = 1.5  # a round that the hard stop cut short would have taken longer still
        try:
            await self._abort_and_close(branches, requests)
            async with anyio.create_task_group() as together:
                for branch in branches:
                    together.start_soon(self._run_forced, branch)
            slow = 1.0
        finally:
            if requests:
                self._reserve.learn(predicted, slow * (anyio.current_time() - began))

    async def _run_forced(self, branch: Branch) -> None:
        if branch.status is not BranchStatus.FORCING:
            return  # cut while its first request was being aborted
        forcing = self._spec.forcing
        said = extract_answer(branch.text, self._spec.answer_pattern)
        if said is None:
            branch.forced_request_id = f"{branch.request_id}-forced"
            branch.extend_forced(forcing.suffix, 0)
            request = Generation(
                request_id=branch.forced_request_id,
                prompt=(*self._spec.prompt, *branch.token_ids, *forcing.suffix_ids),
                max_tokens=forcing.max_tokens,
                sampling=Sampling(temperature=0.0, stop=forcing.stop),
                seed=branch_seed(self._spec.seed, branch.index, forced=True),
                priority=_FORCED_PRIORITY + int(self._spec.deadline * 1000),
                branch=branch.index,
                forced=True,
            )
            await self._stream(branch, request, BranchStatus.FORCING)
        if branch.status is BranchStatus.FORCING:
            text = branch.forced_text or branch.text
            await self._read_answer(branch, text, BranchStatus.FORCED)

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
                        self._take(branch, chunk, forced=request.forced)
                    if request.forced and extract_answer(branch.forced_text) is not None:
                        # Its box has closed: nothing that follows can change the answer.
                        await self._read_answer(branch, branch.forced_text, BranchStatus.FORCED)
                        if branch.status is BranchStatus.FORCED and finish is None:
                            await self._abort([request.request_id])
                        return
        except Exception as error:  # noqa: BLE001 - whatever an engine raises costs one branch
            if not isinstance(error, EngineError):
                _log.exception("frontrunner.branch_failed", race=self._spec.race_id)
            self._lose(branch, status, str(error) or type(error).__name__)
            return
        if finish not in (FinishReason.STOP, FinishReason.LENGTH):
            self._lose(branch, status, f"the engine ended the request ({finish or 'no reason'})")

    def _take(self, branch: Branch, chunk: Chunk, *, forced: bool) -> None:
        if forced:
            branch.extend_forced(chunk.text, len(chunk.token_ids))
        else:
            branch.extend(chunk, anyio.current_time())
        if self._watched:  # by far the most frequent event
            self._publish(
                events.BranchProgressed(
                    self._at(), branch.index, chunk.text, len(chunk.token_ids), forced
                )
            )
        self._observe(told.BranchProgressed(branch.index, len(chunk.token_ids)))

    def _lose(self, branch: Branch, status: BranchStatus, error: str) -> None:
        if branch.status is status:
            branch.error = error
            self._end(branch, BranchStatus.FAILED, error)
            self._observe(told.BranchFailed(branch.index))

    async def _read_answer(self, branch: Branch, text: str, ends_as: BranchStatus) -> None:
        """Find the branch's answer and the class it belongs to, which may take a worker a while."""
        raw = extract_answer(text, self._spec.answer_pattern)
        status = branch.status
        branch.pending_answer = raw
        answer: str | None = None
        if raw is not None:
            try:
                answer = await self._clusters.assign(raw)
            except Exception:  # noqa: BLE001 - a broken comparison leaves the spelling
                _log.exception("frontrunner.comparison_failed", race=self._spec.race_id)
                answer = self._clusters.assign_now(raw)
        if branch.status is status:
            self._arrive(branch, answer, ends_as)

    def _settle_pending(self) -> None:
        """Time is up: answers whose class is not known yet count by their spelling."""
        # All of them, before the strategy is asked about the first: it may decide on that.
        outer, self._observing = self._observing, True
        for branch in self._branches.values():
            if branch.pending_answer is not None and branch.status.active:
                running = branch.status is BranchStatus.RUNNING
                ends_as = BranchStatus.FINISHED if running else BranchStatus.FORCED
                self._arrive(branch, self._clusters.assign_now(branch.pending_answer), ends_as)
        self._observing = outer
        self._drain()

    def _arrive(self, branch: Branch, answer: str | None, status: BranchStatus) -> None:
        if self._decision is not None:
            return  # came with the decision, which did not see it: the branch ends as cancelled
        branch.answer, branch.pending_answer = answer, None
        self._arrivals.append(branch.index)
        self._end(branch, status)
        if answer is not None:
            votes = tally(self)
            self._publish(
                events.VoteChanged(
                    self._at(), by_votes(votes.finished), by_votes(votes.forced), votes.leader
                )
            )
        forced = status is BranchStatus.FORCED
        self._observe(
            told.BranchForced(branch.index) if forced else told.BranchFinished(branch.index)
        )

    def _end(self, branch: Branch, status: BranchStatus, reason: str | None = None) -> None:
        branch.status, branch.ended_at = status, anyio.current_time()
        self._publish(
            events.BranchEnded(
                self._at(),
                branch.index,
                status,
                branch.tokens + branch.forced_tokens,
                branch.answer,
                reason,
            )
        )

    # ── aborting ──────────────────────────────────────────────────────────────────────────────

    async def _abort_all(self) -> None:
        """Abort every request that still runs, in one call."""
        active = [b for b in self._branches.values() if b.status.active]
        requests = [r for b in active if (r := b.active_request()) is not None]
        reason = self._decision.stop_reason if self._decision else told.StopReason.CANCELLED
        for branch in active:
            self._end(branch, BranchStatus.CANCELLED, reason)
        await self._abort(requests)

    async def _abort_and_close(self, branches: list[Branch], requests: list[str]) -> None:
        await self._abort(requests)
        for branch in branches:
            branch.scope.cancel()

    async def _abort(self, requests: list[str]) -> None:
        # Shielded, since a cancelled scope would cancel the abort itself at its first await, and
        # bounded, since a stalled engine must not hold back the answer.
        if not requests:
            return
        limit = self._spec.abort_limit
        left = self._spec.deadline - anyio.current_time()
        done = False
        # Past the deadline (a caller's own cancellation) nobody waits for the answer any more.
        with anyio.move_on_after(min(limit, left / 2 if left >= 0 else 0.005), shield=True):
            try:
                await self._engine.abort(requests)
                done = True
            except EngineError:
                done = True  # a dead engine runs nothing
            except Exception:  # noqa: BLE001 - as in _stream: it may not cost the result
                _log.exception("frontrunner.abort_failed", race=self._spec.race_id)
        if not done:
            _log.warning("frontrunner.abort_timed_out", race=self._spec.race_id)
            self.unaborted += requests

    # ── the result ────────────────────────────────────────────────────────────────────────────

    def _at(self) -> float:
        return anyio.current_time() - self._spec.began

    def _conclude(self) -> Result:
        assert self._decision is not None
        result = summarise(self._spec, self._decision, self._branches, tally(self), self.lengths)
        self._publish(events.RaceDecided(self._at(), result))
        return result


def _discard(event: events.Event) -> None:
    """Nobody watches."""


def _fallback_decision(view: told.RaceView) -> Decide:
    return Majority().conclude(view)
