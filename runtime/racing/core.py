"""The race as a state machine: commands of its strategy in, effects out.

::

    what came in ──► RaceCore ──► observations ──► Strategy
                        │                             │
      effects ◄─────────┴──────── commands ◄──────────┘

No await, no clock, no I/O. The live race (``race``) carries the effects out on an engine, the
simulated race (``simulation.simulated_race``) on recorded branches under a virtual clock, and the
property tests in any order at all. What holds always: a decision is taken once, nothing is
commanded after it, a command for a branch that is gone is passed over, and what comes from a branch
that has left the state it was asked in changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic

from frontrunner.strategies import protocol as p
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
from frontrunner.strategies.standing import Standing, standing_of
from frontrunner.strategies.votes import by_votes, tally

from .commands import checked_commands, checked_decision
from .core_branch import B
from .core_state import CoreOptions, CoreState, RaceHost
from .effects import (
    BranchScored,
    Decided,
    Effect,
    ProbeAnswered,
    StandingChanged,
    StopBranches,
    StrategyFailed,
)
from .execution import CommandExecutor
from .slots import NoLimit, SlotAccount


class RaceCore(Generic[B]):
    """One race; satisfies ``RaceView`` for its strategy, also after the decision."""

    def __init__(self, strategy: Strategy, host: RaceHost[B], options: CoreOptions) -> None:
        self._strategy = strategy
        self._state = state = CoreState(host, options)
        self._executor = CommandExecutor(state)
        self.needs = needs_of(strategy)
        self.watched = False
        """Whether anybody wants to hear of the standing; working it out takes time."""
        self._limited = not isinstance(options.slots, NoLimit)
        self._started = False
        self._draining = False
        self._standing = StandingChanged()  # as it was told last

    # ── what the strategy sees ────────────────────────────────────────────────────────────────

    @property
    def branches(self) -> Mapping[int, B]:
        return self._state.branches

    @property
    def arrivals(self) -> Sequence[int]:
        return self._state.arrivals

    @property
    def active(self) -> int:
        """How many branches may still change: they run, or are being forced."""
        return self._state.active

    @property
    def decision(self) -> Decide | None:
        """What the race was called with."""
        return self._state.decision

    @property
    def slots(self) -> SlotAccount:
        """What of the engine the race occupies."""
        return self._state.slots

    @property
    def called(self) -> bool:
        """Whether the call time was reached."""
        return self._state.called

    @property
    def reachable_tokens(self) -> float | None:
        return self._state.host.reachable_tokens()

    @property
    def lengths(self) -> LengthModel | None:
        return self._state.host.lengths()

    # ── what happens ──────────────────────────────────────────────────────────────────────────

    def start(self) -> list[Effect[B]]:
        """Begin: the strategy launches its branches."""
        self._started = True
        self._execute(self._asked_start())
        return self._settled()

    def progressed(self, branch: B, tokens: int) -> list[Effect[B]]:
        """A running branch generated ``tokens`` more tokens. To be told only if ``needs.progress``;
        nothing else depends on it."""
        return self._observe(p.BranchProgressed(branch.index, tokens))

    def stepped(self, branch: B) -> list[Effect[B]]:
        """A running branch completed a step."""
        return self._observe(p.BranchStepped(branch.index))

    def arrived(self, branch: B, answer: str | None, status: BranchStatus) -> list[Effect[B]]:
        """A branch ended as ``FINISHED``, ``TRUNCATED`` or ``FORCED`` with ``answer``."""
        self._state.arrive(branch, answer, status)
        return self._settled()

    def arrived_together(
        self, arrivals: Sequence[tuple[B, str | None, BranchStatus]]
    ) -> list[Effect[B]]:
        """The same of several: the strategy is asked about the first when all are in, since it may
        decide on that."""
        for branch, answer, status in arrivals:
            self._state.arrive(branch, answer, status)
        return self._settled()

    def lost(self, branch: B, error: str) -> list[Effect[B]]:
        """The request of a branch was lost, and with it the branch, unless its forced answer has
        come beside it."""
        if branch.status.active:
            self._lose(branch, error)
        return self._settled()

    def given_up(self, branch: B, error: str) -> list[Effect[B]]:
        """The same of a running branch whose request is still with the engine."""
        if branch.status is BranchStatus.RUNNING and self.decision is None:
            self._state.slots.aborting += 1
            self._lose(branch, error)
            self._state.effects.append(StopBranches((branch,), (BranchStatus.RUNNING,)))
        return self._settled()

    def _lose(self, branch: B, error: str) -> None:
        if not self._state.adopt(branch):
            branch.error = error
            self._state.end(branch, BranchStatus.FAILED, error)
            self._state.observations.append(p.BranchFailed(branch.index))

    def probed(self, branch: B, probe: Any, tokens: int, answer: str | None) -> list[Effect[B]]:
        """``probe`` came back: ``branch`` would have answered so after ``tokens`` tokens."""
        if branch.probe is not probe:
            return []
        branch.probe = None
        branch.probes.append(p.ProbeAnswer(tokens, answer))
        self._state.effects.append(ProbeAnswered(branch, tokens, answer))
        self._state.note_standing()
        return self._observe(p.BranchProbed(branch.index))

    def probe_lost(self, branch: B, probe: Any) -> None:
        """``probe`` brings nothing."""
        if branch.probe is probe:
            branch.probe = None

    def scored(self, branch: B, tokens: int, score: float | None) -> list[Effect[B]]:
        """The score of a branch's first ``tokens`` tokens; None: scoring failed."""
        if self.decision is not None:
            return []
        branch.score, branch.scored_tokens = score, tokens
        self._state.effects.append(BranchScored(branch, tokens, score))
        self._state.note_standing()
        return self._observe(p.BranchScored(branch.index))

    def limit_branches(self, branches: int) -> list[Effect[B]]:
        """Run no more than so many branches from now on, as far as the strategy can do with fewer.
        Not after the call time: what is left is for the answers of just those branches."""
        if self.called:
            return []
        limit = max(branches, self._state.options.min_branches)
        self._state.observations.append(p.BranchLimitLowered(limit))
        # Before the start it is the first thing that the strategy hears.
        return self._settled() if self._started else []

    def mark_called(self) -> None:
        """The call time has come: what arrives from now on, before the strategy hears of it, does
        so after it."""
        self._state.called = True

    def reach_call_time(self) -> list[Effect[B]]:
        """What is still to be forced must be forced now."""
        self.mark_called()
        return self._observe(p.CallTimeReached())

    def reach_hard_stop(self) -> list[Effect[B]]:
        """Time is up: forced answers stand for branches that have not finished, and the race is
        called."""
        for branch in self._state.branches.values():
            if branch.status is BranchStatus.RUNNING:
                self._state.adopt(branch, still_running=True)
        self._drain()
        self._decide(None)
        return self._flush()

    def conclude(self) -> list[Effect[B]]:
        """Nothing can come any more: the race is called with the strategy's best answer."""
        self._decide(None)
        return self._flush()

    def close(self, reason: str) -> list[Effect[B]]:
        """The race is over: branches that still run end as cancelled, for ``reason``."""
        self._state.effects.clear()  # what was left by something that raised: it is too late for it
        for branch in self._state.branches.values():
            if branch.status.active:
                self._state.end(branch, BranchStatus.CANCELLED, reason)
        return self._flush()

    def stopped(self, branches: int) -> None:
        """The engine was told of so many branches of a ``StopBranches``."""
        self._state.slots.aborting -= branches
        self.release_slots()

    def side_requests_ended(self, requests: int) -> None:
        """So many requests beside branches do not run any more."""
        self._state.slots.beside -= requests
        self.release_slots()

    def release_slots(self) -> None:
        """Give back the slots that the race does not need."""
        self._state.slots.release_unused(self._state.occupying)

    # ── observations and commands ─────────────────────────────────────────────────────────────

    def _observe(self, observation: Observation) -> list[Effect[B]]:
        self._state.observations.append(observation)
        return self._settled()

    def _settled(self) -> list[Effect[B]]:
        self._drain()
        return self._flush()

    def _drain(self) -> None:
        """Hand over all observations; those that commands cause come after, not inside."""
        if self._draining:
            return
        self._draining = True
        try:
            while self._state.observations and self.decision is None:
                observation = self._state.observations.popleft()
                if commands := self._asked(observation):
                    self._execute(commands)
        finally:
            self._draining = False
        # Not before: what ended may be succeeded by what the strategy launched upon it.
        if self._limited:
            self.release_slots()

    def _asked_start(self) -> Sequence[Command]:
        try:
            return checked_commands(self._strategy.start(self))
        except Exception as error:  # noqa: BLE001 - one that cannot start is no reason not to answer
            self._tolerate(error)
            self._strategy = Majority()
            self.needs = needs_of(self._strategy)
            return self._strategy.start(self)

    def _asked(self, observation: Observation) -> Sequence[Command]:
        try:
            return checked_commands(self._strategy.observe(observation, self))
        except Exception as error:  # noqa: BLE001 - the race goes on, the clock still ends it
            self._tolerate(error)
            return []

    def _asked_conclusion(self) -> Decide:
        try:
            return checked_decision(self._strategy.conclude(self))
        except Exception as error:  # noqa: BLE001 - a user's strategy may fail; the answer may not
            self._tolerate(error)
            return Majority().conclude(self)

    def _tolerate(self, error: Exception) -> None:
        """Tell of what the strategy, or a command of it, raised; raise it if it is to be seen."""
        if not self._state.options.tolerant:
            raise error
        self._state.effects.append(StrategyFailed(error))

    def _execute(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if self.decision is not None:
                return
            if isinstance(command, Decide):
                self._decide(command)
                return
            try:
                self._executor.execute(command)
            except Exception as error:  # noqa: BLE001 - a host that fails costs this command alone
                self._tolerate(error)

    def _decide(self, decision: Decide | None) -> None:
        """Call the race with ``decision``, or with the strategy's best answer now."""
        if self.decision is not None:
            return
        decision = decision if decision is not None else self._asked_conclusion()
        self._state.decision = decision
        if self._state.standing_at is None:
            self._state.note_standing()
        self._insert_standing()
        self._state.effects.append(Decided(decision))

    # ── the standing ──────────────────────────────────────────────────────────────────────────

    def _insert_standing(self) -> None:
        if self._state.standing_at is None or not self.watched:
            return
        at, self._state.standing_at = self._state.standing_at, None
        standing = self._standing_now()
        if standing != self._standing:
            self._standing = standing
            self._state.effects.insert(at, standing)

    def _standing_now(self) -> StandingChanged:
        votes = tally(self)
        try:
            standing = standing_of(self._strategy, self, votes, self.decision)
        except Exception as error:  # noqa: BLE001 - see _asked
            self._tolerate(error)
            standing = Standing(votes.leader, {})
        return StandingChanged(
            by_votes(votes.finished),
            by_votes(votes.forced),
            standing.leader,
            standing.weights,
        )

    def _flush(self) -> list[Effect[B]]:
        if self._draining:
            return []  # told inside of something else: that returns what came of it
        if self._state.standing_at is not None:
            self._insert_standing()
        effects, self._state.effects = self._state.effects, []
        self._state.standing_at = None
        return effects
