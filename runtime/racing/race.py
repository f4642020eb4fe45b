"""One question's race on an engine: the shell around ``RaceCore`` that owns time, tasks and aborts.

::

    run ── task group ─┬─ keep time            call time, then the hard stop   (deadline)
                       ├─ branch 0 … B-1       stream → answer ─┐              (branch_requests)
                       └─ forced round         abort all,       │
                                 ▲             continue all ────┤
                                 │                              ▼
                                 └──────── effects ◄──── RaceCore ◄──► Strategy

Everything here runs in one event loop, and what comes in is handed to the core synchronously where
it arises: there is no queue between an answer and the decision that it allows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import anyio
import structlog
from anyio.abc import TaskGroup

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus, Decide, StopReason, Strategy, needs_of
from frontrunner.strategies.votes import tally

from .. import events
from ..engines.protocol import Chunk
from ..result import Result
from . import effects as e
from .aborts import Aborts
from .branch import BackgroundForcing, Branch, ProbeRequest
from .branch_requests import BranchRequests, RaceServices
from .core import RaceCore
from .core_state import CoreOptions
from .deadline import Deadline
from .engine_host import EngineHost
from .event_publisher import EventPublisher
from .judgements import Judgements
from .observers import RaceWatcher
from .result_builder import summarise
from .slots import NoLimit, Slots
from .spec import RaceSpec

_log = structlog.get_logger("frontrunner.race")

#: Branches that a race may launch in all, over those that it may run at a time.
_LAUNCHES_PER_SLOT = 16


class Race:
    """Runs one race."""

    def __init__(
        self,
        spec: RaceSpec,
        strategy: Strategy,
        services: RaceServices,
        *,
        slots: Slots | None = None,
        lengths: LengthModel | None = None,
        publish: Callable[[events.Event], None] | None = None,
    ) -> None:
        """
        Args:
            slots: what the race may occupy; None: as much as it likes.
            lengths: what is known beforehand of how long branches get.
            publish: is told every event, in order; must be quick.
        """
        self._spec = spec
        self._services = services
        self._deadline = Deadline(spec.deadline, lambda: services.reserve.margin)
        has_steps = needs_of(strategy).delimiter is not None
        self._judgements = Judgements(spec, services.engine, services.rewards, services.judging)
        self._host = EngineHost(
            spec,
            services,
            self._deadline,
            lengths,
            has_steps=has_steps,
            budget=self._judgements.budget,
        )
        self._core: RaceCore[Branch] = RaceCore(
            strategy,
            self._host,
            CoreOptions(
                max_branches=spec.max_branches,
                max_launches=spec.max_branches * _LAUNCHES_PER_SLOT,
                min_branches=spec.shared_down_to or 1,
                forcible=spec.answers.forcible,
                slots=slots or NoLimit(),
            ),
        )
        self._events = EventPublisher(spec, publish)
        self._decided = anyio.Event()
        self._stopped_at: float | None = None  # when it had to be called, if it came to that
        self._tasks: TaskGroup | None = None
        self._aborts = Aborts(services.engine, spec.race_id, spec.deadline, spec.abort_limit)
        self._requests = BranchRequests(spec, services, self._aborts, self, self._judgements)

    @property
    def spec(self) -> RaceSpec:
        return self._spec

    @property
    def deadline(self) -> float:
        """Anyio clock, seconds; earlier than the spec's after ``shorten_deadline``."""
        return self._deadline.at

    @property
    def branches(self) -> Mapping[int, Branch]:
        return self._core.branches

    @property
    def arrivals(self) -> Sequence[int]:
        """Indices of the branches that finished or were forced, in order of arrival."""
        return self._core.arrivals

    @property
    def lengths(self) -> LengthModel | None:
        """What is known of how long branches get, those of this race included."""
        return self._host.lengths()

    @property
    def unacknowledged(self) -> list[str]:
        """Requests that the engine could not be told to abort."""
        return self._aborts.unacknowledged

    def watch(self, watcher: RaceWatcher) -> None:
        """Also tell ``watcher``; call it before ``run``."""
        self._events.add(watcher)
        self._aborts.on_abort = watcher.aborted

    # ── running ───────────────────────────────────────────────────────────────────────────────

    def shorten_deadline(self, deadline: float) -> None:
        """Bring the deadline forward (anyio clock, seconds); a later one than before changes
        nothing. The race is called in time for it, forced answers included."""
        if self._deadline.shorten(deadline):
            self._aborts.shorten_deadline(deadline)
            self._judgements.budget.until = self._deadline.hard_stop

    def set_branch_limit(self, branches: int) -> None:
        """Other races need the engine: run no more than so many branches from now on, as far as
        the strategy can do with fewer. Not after the call time: the time that is left is for the
        answers of just those branches."""
        self._perform(self._core.limit_branches(branches))

    async def run(self) -> Result:
        """Run the race to its decision.

        Never raises for what happens inside. Cancelling it aborts every branch first.
        """
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._core.watched = self._events.watched
                self._events.started()
                self._perform(self._core.start())
                tasks.start_soon(self._keep_time)
                await self._decided.wait()
                await self._abort_all()
                tasks.cancel_scope.cancel()
        finally:
            # Only a race cut short from outside still has requests here.
            await self._abort_all()
        return self._conclude()

    async def _keep_time(self) -> None:
        """Calls time: first for the forced answers, then for good."""
        left = await self._deadline.wait_for_call_time(self._reserve_seconds)
        self._core.mark_called()
        self._settle_pending()
        self._events.call_time_reached(left)
        self._perform(self._core.reach_call_time())
        self._stopped_at = await self._deadline.wait_for_hard_stop()
        self._settle_pending()
        self._perform(self._core.reach_hard_stop())

    def _reserve_seconds(self) -> float:
        unfinished = sum(b.status is BranchStatus.RUNNING for b in self.branches.values())
        seconds = self._services.reserve.seconds(self._predict_round(unfinished))
        if self._core.needs.comparisons:
            whole = (b.tokens for b in self.branches.values() if b.status is BranchStatus.FINISHED)
            seconds += self._judgements.seconds([*whole])
        return seconds

    def _predict_round(self, branches: int) -> float:
        """Seconds that a round of forced answers takes."""
        forcing, services = self._spec.forcing, self._services
        if not self._spec.answers.forcible:
            return 0.0
        return services.reserve.round_seconds(
            branches,
            len(forcing.suffix_ids),
            forcing.max_tokens,
            services.engine.info,
            services.engine.load(),
        )

    # ── effects ───────────────────────────────────────────────────────────────────────────────

    def _perform(self, effects: Sequence[e.Effect[Branch]]) -> None:
        """Carry out what the core returned, all of it: one effect that fails, or a viewer who does,
        costs none of the others, above all not the decision."""
        failure: Exception | None = None
        for effect in effects:
            for act in (self._carry_out, self._events.effect):
                try:
                    act(effect)
                except Exception as error:  # noqa: BLE001 - raised below
                    failure = failure or error
        if failure is not None:
            raise failure

    def _carry_out(self, effect: e.Effect[Branch]) -> None:
        assert self._tasks is not None
        start, requests = self._tasks.start_soon, self._requests
        match effect:
            case e.StartBranch(branch) | e.ResumeBranch(branch):
                start(requests.run_branch, branch)
            case e.StopBranches(branches, statuses):
                held = [b.active_request(s) for b, s in zip(branches, statuses, strict=True)]
                start(self._stop, branches, [r for r in held if r is not None])
            case e.ForceBranches(branches, running):
                for branch in branches:
                    branch.pending_answer = None
                predicted = self._predict_round(len(branches))
                held = [b.request_id for b in running]
                start(requests.run_forced_round, branches, held, predicted)
            case e.ForceInBackground(branches, answers):
                start(self._force_in_background, branches, answers)
            case e.SendProbe(branch, probe):
                start(self._probe, branch, probe)
            case e.DropSideRequests(_, probe, background):
                if probe is not None:
                    start(requests.abort_probe, probe)
                if background is not None and background.running:
                    background.running = False
                    start(requests.abort_background, background)
            case e.ScoreBranches(tasks):
                start(requests.run_scoring, tasks)
            case e.BranchEnded(branch, status):
                branch.pending_answer = None
                if branch.status is status:  # else it goes on already
                    branch.ended_at = anyio.current_time()
            case e.StrategyFailed(error):
                _log.error("frontrunner.strategy_failed", race=self._spec.race_id, exc_info=error)
            case e.Decided():
                self._decided.set()
            case _:
                pass

    async def _stop(self, branches: Sequence[Branch], requests: Sequence[str]) -> None:
        await self._requests.abort_and_close(branches, requests)
        self._core.stopped(len(branches))

    async def _force_in_background(
        self, branches: Sequence[Branch], answers: Sequence[BackgroundForcing]
    ) -> None:
        predicted = self._predict_round(len(branches))
        await self._requests.run_forced_in_background(branches, answers, predicted)
        self._core.side_requests_ended(len(branches))

    async def _probe(self, branch: Branch, probe: ProbeRequest) -> None:
        await self._requests.run_probe(branch, probe)
        self._core.side_requests_ended(1)

    def tell(self, event: events.Event) -> None:
        """Tell whoever watches of ``event``, which is none of the race's own: a tool was called."""
        self._events.tell(event)

    # ── what comes in ─────────────────────────────────────────────────────────────────────────

    def on_chunk(self, branch: Branch, chunk: Chunk, *, forced: bool) -> None:
        if forced:
            branch.extend_forced(chunk.text, len(chunk.token_ids))
        else:
            branch.extend(chunk, anyio.current_time())
        self._events.progressed(branch, chunk, forced=forced)
        needs = self._core.needs
        if needs.progress:
            self._perform(self._core.progressed(branch, len(chunk.token_ids)))
        if needs.delimiter and not forced and branch.complete_step(chunk.text, needs.delimiter):
            self._perform(self._core.stepped(branch))

    def on_suffix(self, branch: Branch) -> None:
        self._events.suffix_added(branch)

    def on_answer(self, branch: Branch, answer: str | None, status: BranchStatus) -> None:
        self._perform(self._core.arrived(branch, answer, status))

    def on_lost(self, branch: Branch, status: BranchStatus, error: str) -> None:
        if branch.status is status:
            self._perform(self._core.lost(branch, error))

    def on_probe(self, branch: Branch, probe: ProbeRequest, answer: str | None) -> None:
        self._perform(self._core.probed(branch, probe, probe.tokens, answer))

    def on_probe_lost(self, branch: Branch, probe: ProbeRequest) -> None:
        self._core.probe_lost(branch, probe)

    def on_score(self, branch: Branch, tokens: int, score: float | None) -> None:
        self._perform(self._core.scored(branch, tokens, score))

    def _settle_pending(self) -> None:
        """Time is up: answers whose class is not known yet count by their spelling."""
        arrivals: list[tuple[Branch, str | None, BranchStatus]] = []
        for branch in self.branches.values():
            if branch.pending_answer is not None and branch.status.active:
                answer = self._services.clusters.assign_now(branch.pending_answer)
                arrivals.append((branch, answer, branch.ends_as))
        if arrivals:
            self._perform(self._core.arrived_together(arrivals))

    # ── the end ───────────────────────────────────────────────────────────────────────────────

    async def _abort_all(self) -> None:
        """Abort every request that still runs, in one call."""
        requests = [r for b in self.branches.values() for r in b.outstanding_requests()]
        for branch in self.branches.values():
            branch.probe = branch.background = branch.answered_request = None
        decision = self._core.decision
        reason = decision.stop_reason if decision else StopReason.CANCELLED
        try:
            self._perform(self._core.close(reason))
        finally:
            await self._aborts.abort(requests)

    def _conclude(self) -> Result:
        decision = self._core.decision
        assert isinstance(decision, Decide)
        votes = tally(self._core)
        result = summarise(self._spec, decision, self.branches, votes, self.lengths)
        result = replace(result, scoring_tokens=self._judgements.budget.tokens)
        self._events.decided(result)
        if self._stopped_at is not None:
            late = anyio.current_time() - self._stopped_at
            self._services.reserve.record_return_latency(late)
        return result
