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

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf

import anyio
import structlog

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import Decide, StopReason, Strategy, needs_of
from frontrunner.strategies.votes import tally

from .. import events
from ..answers import Clusters
from ..common.loop_clock import loop_clock
from ..common.timed_event import TimedEvent
from ..events.event_stream import EventSink
from ..result import Result
from . import effects as e
from .aborts import Aborts
from .branch import Branch
from .branch_requests import BranchRequests, RaceServices
from .core import RaceCore
from .core_state import CoreOptions
from .deadline import Deadline
from .engine_host import EngineHost
from .event_publisher import EventPublisher
from .incoming import Incoming
from .judgements import Judgements
from .observers import RaceWatcher
from .race_tasks import GroupHost, RaceTasks, TaskHost
from .result_builder import summarise
from .result_notes import comparison_note
from .rounds import Rounds
from .silence import SilenceWatch
from .slots import NoLimit, Slots
from .spec import RaceSpec

_log = structlog.get_logger("frontrunner.race")

#: Branches that a race may launch in all, over those that it may run at a time.
_LAUNCHES_PER_SLOT = 16
#: Seconds that its tasks may take to end once the race is over, at most, and however late it is.
_LEAVING, _LEAST_LEAVING = 0.05, 0.005


_Work = Callable[..., Awaitable[None]]


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
        reserve = services.reserve
        self._deadline = Deadline(spec.deadline, lambda: reserve.margin, reserve.record_lag)
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
        self._core: RaceCore[Branch] = RaceCore(strategy, self._host, _options(spec, slots))
        self._events = EventPublisher(spec, publish)
        self._clock = anyio.current_time
        self._decided = TimedEvent()
        self.on_decision: Callable[[], None] | None = None
        """Called when it was decided, some turns of the event loop before ``run`` returns."""
        self._stopped_at: float | None = None  # when it had to be called, if it came to that
        self._tasks = RaceTasks(self._decided.set)
        self._aborts = Aborts(services.engine, spec.race_id, spec.deadline, spec.abort_limit)
        self._rounds = Rounds(spec, services, self._judgements, self._core)
        self._silence = SilenceWatch(spec, self._core, self._perform)
        self._incoming = Incoming(self._core, self._events, services.clusters, self._perform)
        self._requests = BranchRequests(
            spec,
            services,
            self._aborts,
            self._incoming,
            self._judgements,
            self._tasks.start_within,
        )

    @property
    def spec(self) -> RaceSpec:
        return self._spec

    @property
    def deadline(self) -> float:
        """Anyio clock, seconds; earlier than the spec's after ``shorten_deadline``."""
        return self._deadline.at

    @property
    def branches(self) -> Mapping[int, Branch]:
        self._incoming.take_in()
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

    def stream_to(self, stream: EventSink) -> None:
        """Also tell the reader of ``stream``; call it before ``run``."""
        self._events.stream_to(stream)

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
        self._incoming.take_in()
        self._perform(self._core.limit_branches(branches))

    async def run(self, host: TaskHost | None = None) -> Result:
        """Run the race to its decision, its tasks in ``host``, which keeps those that do not end
        when they are cancelled; without one they are waited for.

        Never raises for what happens inside. Cancelling it aborts every branch first.
        """
        if host is not None:
            return await self._run_in(host)
        result: Result | None = None
        async with anyio.create_task_group() as own:
            result = await self._run_in(GroupHost(own))
        assert result is not None
        return result

    async def _run_in(self, host: TaskHost) -> Result:
        crowd, spec = self._services.reserve.crowd, self._spec
        self._deadline.join(crowd, spec.max_branches, spec.time_limit)
        try:
            self._tasks.open(host)
            self._core.watched = self._events.watched
            self._events.clock = self._clock = loop_clock()
            self._events.started()
            self._perform(self._core.start())
            self._tasks.start_soon(self._keep_time)
            await self._decided.wait_until(inf)
            await self._abort_all()
        finally:
            self._deadline.quit()
            # Only a race cut short from outside still has requests here.
            await self._abort_all()
            self._tasks.cancel()
            left = self._deadline.at - self._clock()
            await self._tasks.wait_for_end(min(_LEAVING, max(_LEAST_LEAVING, left / 2)))
            self._incoming.close()
            self._silence.close()
        if self._tasks.failure is not None:
            raise self._tasks.failure
        if self.lingers:
            _log.warning("frontrunner.race_tasks_left_behind", race=self._spec.race_id)
        return self._conclude()

    @property
    def lingers(self) -> bool:
        """Whether the race is over while a task of it has not ended yet."""
        return self._tasks.running

    async def _keep_time(self) -> None:
        """Calls time: first for the forced answers, then for good."""
        left = await self._deadline.wait_for_call_time(self._rounds.reserve)
        self._incoming.take_in()
        self._core.mark_called()
        self._incoming.settle_pending()
        self._deadline.leave_time(self._rounds.needed())
        self._events.call_time_reached(left)
        self._perform(self._core.reach_call_time())
        self._stopped_at = await self._deadline.wait_for_hard_stop()
        self._incoming.take_in()
        self._incoming.settle_pending()
        self._perform(self._core.reach_hard_stop())

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
        if effects and (last := self._silence.left_alone()) is not None:
            self._tasks.start_soon(self._silence.watch, last)
        if failure is not None:
            raise failure

    def _carry_out(self, effect: e.Effect[Branch]) -> None:
        start, requests = self._tasks.start_soon, self._requests
        match effect:
            case e.StartBranch(branch) | e.ResumeBranch(branch):
                self._tasks.start_within(branch.scope, requests.run_branch, branch)
            case e.StopBranches(branches, statuses):
                held = [b.active_request(s) for b, s in zip(branches, statuses, strict=True)]
                held_still = [r for r in held if r is not None]
                stop, count = requests.abort_and_close, len(branches)
                start(_and_then, self._core.stopped, count, stop, branches, held_still)
            case e.ForceBranches(branches, running):
                for branch in branches:
                    branch.pending_answer = None
                predicted = self._rounds.predict(len(branches))
                held = [b.request_id for b in running]
                start(requests.run_forced_round, branches, held, predicted)
            case e.ForceInBackground(branches, answers):
                predicted, count = self._rounds.predict(len(branches)), len(branches)
                over = partial(self._core.side_requests_ended, count)
                requests.force_in_background(branches, answers, predicted, over)
            case e.SendProbe(branch, probe):
                over = self._core.side_requests_ended
                start(_and_then, over, 1, requests.run_probe, branch, probe)
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
                    branch.ended_at = self._clock()
            case e.StrategyFailed(error):
                _log.error("frontrunner.strategy_failed", race=self._spec.race_id, exc_info=error)
            case e.Decided():
                self._decided.set()
                if self.on_decision is not None:
                    self.on_decision()
            case _:
                pass

    def tell(self, event: events.Event) -> None:
        """Tell whoever watches of ``event``, which is none of the race's own: a tool was called."""
        self._silence.told(event)
        self._events.tell(event)

    # ── the end ───────────────────────────────────────────────────────────────────────────────

    async def _abort_all(self) -> None:
        """Abort every request that still runs, in one call."""
        self._incoming.take_in()
        requests = [r for b in self._core.branches.values() for r in b.outstanding_requests()]
        for branch in self._core.branches.values():
            branch.probe = branch.background = branch.answered_request = None
        decision = self._core.decision
        reason = decision.stop_reason if decision else StopReason.CANCELLED
        try:
            self._perform(self._core.close(reason))
        finally:
            await self._aborts.abort(requests)

    def _conclude(self) -> Result:
        scored = self._judgements.budget.tokens
        result = _result(self._spec, self._core, self._services.clusters, self.lengths, scored)
        self._events.decided(result)
        if self._stopped_at is not None:
            late = self._clock() - self._stopped_at
            self._services.reserve.record_return_latency(late)
        return result


async def _and_then(
    told: Callable[[int], None], requests: int, work: _Work, *arguments: object
) -> None:
    """Do ``work``, and tell the core that so many requests are over."""
    await work(*arguments)
    told(requests)


def _options(spec: RaceSpec, slots: Slots | None) -> CoreOptions:
    return CoreOptions(
        max_branches=spec.max_branches,
        max_launches=spec.max_branches * _LAUNCHES_PER_SLOT,
        min_branches=spec.shared_down_to or 1,
        forcible=spec.answers.forcible,
        slots=slots or NoLimit(),
    )


def _result(
    spec: RaceSpec,
    core: RaceCore[Branch],
    clusters: Clusters,
    lengths: LengthModel | None,
    scoring_tokens: int,
) -> Result:
    decision = core.decision
    assert isinstance(decision, Decide)
    result = summarise(spec, decision, core.branches, tally(core), lengths)
    note = comparison_note(clusters.undecided)
    if note is None and not scoring_tokens:
        return result
    notes = result.notes if note is None else (*result.notes, note)
    return replace(result, scoring_tokens=scoring_tokens, notes=notes)
