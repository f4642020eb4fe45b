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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import median

import anyio
import structlog
from anyio.abc import TaskGroup

from frontrunner.strategies import protocol as told
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import (
    BranchStatus,
    Command,
    Decide,
    Observation,
    Strategy,
    needs_of,
)
from frontrunner.strategies.votes import tally

from .. import events
from ..answers import Clusters
from ..engines.protocol import Chunk, Engine
from ..result import Result
from ..rewards.protocol import RewardModel, Scoring
from .aborts import Aborts
from .branch import Branch, ForcedBeside, SideRequest
from .branch_requests import BranchWork, ScoringTask
from .commands import checked_commands, checked_decision
from .deadline_reserve import Reserve
from .observers import RaceWatcher
from .result_builder import by_votes, summarise
from .seeds import branch_seed
from .slots import NoLimit, Occupancy, Places
from .spec import RaceSpec

_log = structlog.get_logger("frontrunner.race")

#: How often the call time is worked out anew while it draws near, in seconds.
_CLOCK_STEP = 0.02
#: Branches that a race may launch in all, over those that it may run at a time.
_LAUNCHES_PER_PLACE = 16


class Race:
    """Runs one race; satisfies ``RaceView`` for its strategy."""

    def __init__(
        self,
        spec: RaceSpec,
        engine: Engine,
        strategy: Strategy,
        clusters: Clusters,
        reserve: Reserve,
        *,
        places: Places | None = None,
        lengths: LengthModel | None = None,
        rewards: RewardModel | None = None,
        publish: Callable[[events.Event], None] | None = None,
    ) -> None:
        self._spec = spec
        self._engine = engine
        self._strategy = strategy
        self._clusters = clusters
        self._reserve = reserve
        self._lengths = lengths
        self._needs = needs_of(strategy)
        self._watched = publish is not None
        self._publish = publish or _discard
        self._branches: dict[int, Branch] = {}
        self._arrivals: list[int] = []
        self._observations: deque[Observation] = deque()
        self._observing = False
        self._decision: Decide | None = None
        self._decided = anyio.Event()
        self._deadline = spec.deadline
        self._hurried = anyio.Event()
        self._called = False  # the call time was reached
        self._stopped_at: float | None = None  # when it had to be called, if it came to that
        self._tasks: TaskGroup | None = None
        self._occupancy = Occupancy(places or NoLimit(), spec.max_branches)
        self._aborts = Aborts(engine, spec.race_id, spec.deadline, spec.abort_limit)
        self._work = BranchWork(spec, engine, clusters, reserve, self._aborts, rewards, self)

    @property
    def spec(self) -> RaceSpec:
        return self._spec

    @property
    def deadline(self) -> float:
        """Anyio clock, seconds; earlier than the spec's after a ``hurry``."""
        return self._deadline

    def watch(self, watcher: RaceWatcher) -> None:
        """Also tell ``watcher``; call it before ``run``."""
        publish = self._publish

        def tell(event: events.Event) -> None:
            publish(event)
            watcher.event(event)

        self._publish, self._watched = tell, True
        self._aborts.report = watcher.aborted

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
            (b.tokens - b.first_token_tokens) / (now - b.first_token_at)
            for b in self._branches.values()
            if b.status is BranchStatus.RUNNING
            and b.first_token_at is not None
            and b.tokens > b.first_token_tokens + 1
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

    @property
    def unaborted(self) -> list[str]:
        """Requests that the engine could not be told to abort."""
        return self._aborts.untold

    # ── running ───────────────────────────────────────────────────────────────────────────────

    def hurry(self, deadline: float) -> None:
        """Bring the deadline forward (anyio clock, seconds); a later one than before changes
        nothing. The race is called in time for it, forced answers included."""
        if deadline < self._deadline:
            self._deadline = deadline
            self._aborts.hurry(deadline)
            self._hurried.set()
            self._hurried = anyio.Event()

    def share(self, branches: int) -> None:
        """Other races need the engine: run no more than so many branches from now on, as far as
        the strategy can do with fewer. Not after the call time: the time that is left is for the
        answers of just those branches."""
        if not self._called:
            self._observations.append(
                told.ShareShrank(max(branches, self._spec.shared_down_to or 1))
            )
            if self._tasks is not None:  # else when it has begun
                self._drain()

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
            left = self._deadline - self._reserve_seconds() - anyio.current_time()
            if left <= 0:
                break
            await self._pause(min(left, max(_CLOCK_STEP, left / 2)))
        self._called = True
        self._settle_pending()
        reserve = self._deadline - anyio.current_time()
        self._publish(events.CallTimeReached(self._at(), reserve))
        self._observe(told.CallTimeReached())
        while (left := self._hard_stop - anyio.current_time()) > 0:
            await self._pause(left)
        self._stopped_at = self._hard_stop
        self._settle_pending()
        self._take_forced_beside()
        self._call(None)

    @property
    def _hard_stop(self) -> float:
        """When the race is called at the latest (anyio clock, seconds)."""
        return self._deadline - self._reserve.margin

    async def _pause(self, seconds: float) -> None:
        """Wait, or until the deadline is brought forward."""
        with anyio.move_on_after(seconds):
            await self._hurried.wait()

    def _call(self, decision: Decide | None) -> None:
        """End the race with ``decision``, or with the strategy's best answer now."""
        if self._decision is not None:
            return
        if decision is None:
            try:
                decision = checked_decision(self._strategy.conclude(self))
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
        if not self._spec.answers.forcible:
            return 0.0
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
        # Not before: what ended may be succeeded by what the strategy launched upon it.
        self._occupancy.settle(self._occupying)

    def _start(self) -> Sequence[Command]:
        try:
            return checked_commands(self._strategy.start(self))
        except Exception:  # noqa: BLE001 - a strategy that cannot start is no reason not to answer
            _log.exception("frontrunner.strategy_failed", race=self._spec.race_id)
            self._strategy = Majority()
            self._needs = needs_of(self._strategy)
            return self._strategy.start(self)

    def _asked(self, ask: Callable[[], Sequence[Command]]) -> Sequence[Command]:
        try:
            return checked_commands(ask())
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
                case told.Fork(parent, tokens, count):
                    self._launch(count, parent, tokens)
                case told.Extend():
                    self._extend(command)
                case told.Cancel(indices, reason):
                    self._cancel(indices, reason)
                case told.Force(indices, let_run):
                    self._force(indices, let_run)
                case told.Probe(indices):
                    self._probe(indices)
                case told.Score(indices):
                    self._score(indices)
                case told.Decide():
                    self._call(command)

    def _launch(self, count: int, parent: int | None = None, tokens: int = 0) -> None:
        """Start branches, on the question or from the first ``tokens`` tokens of ``parent``.

        A race runs at most ``max_branches`` at a time, while others wait for the engine perhaps
        fewer (see ``places``), and that number times a limit in all; what is more is not started.
        """
        assert self._tasks is not None
        if parent is not None and parent not in self._branches:
            return
        in_all = self._spec.max_branches * _LAUNCHES_PER_PLACE - len(self._branches)
        for _ in range(self._occupancy.room(self._occupying, min(count, in_all))):
            index = len(self._branches)
            branch = Branch(
                index=index,
                request_id=f"{self._spec.race_id}-b{index}",
                seed=branch_seed(self._spec.seed, index),
                launched_at=anyio.current_time(),
            )
            self._branches[index] = branch
            if parent is not None:
                self._branches[parent].fork(tokens, branch)
            self._publish(
                events.BranchStarted(
                    self._at(), index, branch.seed, parent, branch.inherited_tokens
                )
            )
            self._observations.append(told.BranchStarted(index))
            self._tasks.start_soon(self._work.run_branch, branch)

    @property
    def _occupying(self) -> int:
        """Branches that hold a place."""
        return sum(
            b.status.active or b.answered_request is not None for b in self._branches.values()
        )

    def _cancel(self, indices: Sequence[int], reason: str) -> None:
        assert self._tasks is not None
        losers = [b for b in self._select(indices) if b.status.active]
        requests = [r for b in losers if (r := b.active_request()) is not None]
        self._occupancy.leaving += len(losers)
        for branch in losers:
            self._end(branch, BranchStatus.CANCELLED, reason)
        self._tasks.start_soon(self._leave, losers, requests)

    async def _leave(self, losers: list[Branch], requests: list[str]) -> None:
        await self._work.abort_and_close(losers, requests)
        self._occupancy.leaving -= len(losers)
        self._occupancy.settle(self._occupying)

    def _extend(self, command: told.Extend) -> None:
        assert self._tasks is not None
        branch = self._branches.get(command.branch)
        if branch is None or branch.status is not BranchStatus.FINISHED:
            return
        if not self._occupancy.room(self._occupying, 1):
            return
        ids = self._engine.encode(command.text)
        request_id = f"{self._spec.race_id}-b{branch.index}-x{branch.extensions + 1}"
        branch.reopen(command.before, command.text, ids, request_id)
        self._arrivals.remove(branch.index)
        self._publish(events.BranchExtended(self._at(), branch.index, command.text))
        self._tasks.start_soon(self._work.run_branch, branch)

    def _force(self, indices: Sequence[int], let_run: bool) -> None:
        assert self._tasks is not None
        chosen = [
            b
            for b in self._select(indices)
            if b.status is BranchStatus.RUNNING
            or (b.status is BranchStatus.FINISHED and b.answer is None)
        ]
        running = [b for b in chosen if b.status is BranchStatus.RUNNING]
        if not self._spec.answers.forcible:
            chosen = running = self._force_nothing(chosen, let_run=let_run or self._called)
        elif let_run and self._has_room(sum(b.beside is None for b in running)):
            self._force_beside([b for b in running if b.beside is None])
            chosen = [b for b in chosen if b.status is not BranchStatus.RUNNING]
            running = []
        ended = [b for b in chosen if b.status is BranchStatus.FINISHED]
        without_place = ended[self._occupancy.room(self._occupying, len(ended)) :]
        chosen = [b for b in chosen if b not in without_place]
        if not chosen:
            return
        requests = [b.request_id for b in running]
        for branch in chosen:
            branch.status = BranchStatus.FORCING
            branch.pending_answer = None
            self._drop_side_requests(branch)
            self._publish(events.BranchForcing(self._at(), branch.index, branch.tokens))
        self._arrivals = [i for i in self._arrivals if self._branches[i] not in chosen]
        predicted = self._predict_round(len(chosen))
        self._tasks.start_soon(self._work.run_forced_round, chosen, requests, predicted)

    def _force_nothing(self, branches: list[Branch], *, let_run: bool) -> list[Branch]:
        """No continuation would bring an answer of this kind: what counts is what ``branches`` have
        written by now. Those that ended stay as they are, and so do those that run if ``let_run``.

        Returns:
            Those that are to be stopped.
        """
        for branch in branches:
            if branch.status is BranchStatus.FINISHED:
                self._observations.append(told.BranchForced(branch.index))
            elif let_run and branch.beside is None:
                said = self._spec.answers.find(branch.text)
                branch.beside = ForcedBeside(f"{branch.request_id}-beside", branch.tokens)
                branch.beside.said = said
        return [b for b in branches if b.status is BranchStatus.RUNNING and not let_run]

    def _has_room(self, more: int) -> bool:
        room = self._engine.info.max_branches - self._engine.load().running
        return more <= room and more == self._occupancy.room_beside(self._occupying, more)

    def _force_beside(self, branches: list[Branch]) -> None:
        assert self._tasks is not None
        for branch in branches:
            self._drop_side_requests(branch)
            branch.beside = ForcedBeside(f"{branch.request_id}-beside", branch.tokens)
            self._publish(events.BranchForcing(self._at(), branch.index, branch.tokens))
        if branches:
            predicted = self._predict_round(len(branches))
            self._run_beside(
                len(branches), lambda: self._work.run_forced_beside(branches, predicted)
            )

    def _run_beside(self, requests: int, work: Callable[[], Awaitable[None]]) -> None:
        """Start ``work``, which makes ``requests`` requests beside branches."""
        assert self._tasks is not None
        self._occupancy.beside += requests
        self._tasks.start_soon(self._beside, requests, work)

    async def _beside(self, requests: int, work: Callable[[], Awaitable[None]]) -> None:
        await work()
        self._occupancy.beside -= requests
        self._occupancy.settle(self._occupying)

    def _take_forced_beside(self) -> None:
        """The race must end: forced answers stand for branches that have not finished."""
        # All of them, before the strategy is asked about the first: it may decide on that.
        outer, self._observing = self._observing, True
        for branch in self._branches.values():
            if branch.status is BranchStatus.RUNNING:
                self._take_forced(branch, held=branch.request_id)
        self._observing = outer
        self._drain()

    def _take_forced(self, branch: Branch, held: str | None) -> bool:
        """End ``branch`` with its forced answer, if there is one; ``held`` is the request that it
        then leaves to the engine."""
        beside = branch.beside
        if beside is None or beside.said is None or self._decision is not None:
            return False
        if str(beside.text):
            branch.take_forced(beside)
            self._publish(
                events.BranchProgressed(
                    self._at(), branch.index, str(beside.text), beside.forced_tokens, True
                )
            )
        branch.answered_request = held
        answer = beside.answer or self._clusters.assign_now(beside.said)
        self.arrived(branch, answer, BranchStatus.FORCED)
        return True

    def _select(self, indices: Sequence[int]) -> list[Branch]:
        return [self._branches[i] for i in dict.fromkeys(indices) if i in self._branches]

    # ── probes and scores ─────────────────────────────────────────────────────────────────────

    def _probe(self, indices: Sequence[int]) -> None:
        assert self._tasks is not None
        if not self._spec.answers.forcible:
            return  # a probe is a continuation, too
        chosen = [
            b for b in self._select(indices) if b.status is BranchStatus.RUNNING and b.probe is None
        ]
        for branch in chosen[: self._occupancy.room_beside(self._occupying, len(chosen))]:
            branch.probes_asked += 1
            branch.probe = probe = SideRequest(f"{branch.request_id}-p{branch.probes_asked}")
            self._run_beside(1, lambda b=branch, p=probe: self._work.run_probe(b, p))

    def _drop_side_requests(self, branch: Branch) -> None:
        """The branch does not run any more: nobody will hear what is asked beside it."""
        assert self._tasks is not None
        if branch.probe is not None:
            self._tasks.start_soon(self._work.abort_probe, branch.probe)
        if branch.beside is not None and branch.beside.running:
            branch.beside.running = False
            self._tasks.start_soon(self._work.abort_beside, branch.beside)
        branch.probe = branch.beside = None

    def _score(self, indices: Sequence[int]) -> None:
        assert self._tasks is not None
        scorings: list[ScoringTask] = []
        for branch in self._select(indices):
            complete = branch.status is not BranchStatus.RUNNING
            tokens = branch.tokens
            if self._needs.delimiter and not complete:
                tokens = branch.steps[-1] if branch.steps else 0
            text = branch.text_up_to(tokens) + branch.forced_text
            scoring = Scoring(self._spec.question, text, complete)
            scorings.append(ScoringTask(branch, tokens, scoring))
        if scorings:
            self._tasks.start_soon(self._work.run_scoring, scorings)

    # ── what comes in ─────────────────────────────────────────────────────────────────────────

    def took(self, branch: Branch, chunk: Chunk, *, forced: bool) -> None:
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
        if self._needs.progress:
            self._observe(told.BranchProgressed(branch.index, len(chunk.token_ids)))
        delimiter = self._needs.delimiter
        if delimiter and not forced and branch.complete_step(chunk.text, delimiter):
            self._observe(told.BranchStepped(branch.index))

    def lost(self, branch: Branch, status: BranchStatus, error: str) -> None:
        if branch.status is status and not self._take_forced(branch, held=None):
            branch.error = error
            self._end(branch, BranchStatus.FAILED, error)
            self._observe(told.BranchFailed(branch.index))

    def probed(self, branch: Branch, tokens: int, answer: str | None) -> None:
        branch.probes.append(told.ProbeAnswer(tokens, answer))
        self._publish(events.BranchProbed(self._at(), branch.index, tokens, answer))
        self._observe(told.BranchProbed(branch.index))

    def scored(self, branch: Branch, tokens: int, score: float | None) -> None:
        if self._decision is not None:
            return
        branch.score, branch.scored_tokens = score, tokens
        self._publish(events.BranchScored(self._at(), branch.index, tokens, score))
        self._observe(told.BranchScored(branch.index))

    def _settle_pending(self) -> None:
        """Time is up: answers whose class is not known yet count by their spelling."""
        # All of them, before the strategy is asked about the first: it may decide on that.
        outer, self._observing = self._observing, True
        for branch in self._branches.values():
            if branch.pending_answer is not None and branch.status.active:
                running = branch.status is BranchStatus.RUNNING
                ends_as = BranchStatus.FINISHED if running else BranchStatus.FORCED
                self.arrived(branch, self._clusters.assign_now(branch.pending_answer), ends_as)
        self._observing = outer
        self._drain()

    def arrived(self, branch: Branch, answer: str | None, status: BranchStatus) -> None:
        if self._decision is not None:
            return  # came with the decision, which did not see it: the branch ends as cancelled
        if answer is None and status is BranchStatus.FINISHED:
            branch.pending_answer = None
            if self._take_forced(branch, held=None):
                return
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
        self._drop_side_requests(branch)
        self._publish(
            events.BranchEnded(
                self._at(),
                branch.index,
                status,
                branch.tokens - branch.inherited_tokens + branch.forced_tokens,
                branch.answer,
                reason,
            )
        )

    # ── aborting ──────────────────────────────────────────────────────────────────────────────

    async def _abort_all(self) -> None:
        """Abort every request that still runs, in one call."""
        active = [b for b in self._branches.values() if b.status.active]
        requests = [r for b in self._branches.values() for r in b.leave_requests()]
        reason = self._decision.stop_reason if self._decision else told.StopReason.CANCELLED
        for branch in active:
            self._end(branch, BranchStatus.CANCELLED, reason)
        await self._aborts.abort(requests)

    # ── the result ────────────────────────────────────────────────────────────────────────────

    def _at(self) -> float:
        return anyio.current_time() - self._spec.began

    def _conclude(self) -> Result:
        assert self._decision is not None
        result = summarise(self._spec, self._decision, self._branches, tally(self), self.lengths)
        self._publish(events.RaceDecided(self._at(), result))
        if self._stopped_at is not None:
            self._reserve.returned(anyio.current_time() - self._stopped_at)
        return result


def _discard(event: events.Event) -> None:
    """Nobody watches."""


def _fallback_decision(view: told.RaceView) -> Decide:
    return Majority().conclude(view)
