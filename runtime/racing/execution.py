"""Carrying out what a strategy commands: the only place where commands change a race."""

from collections.abc import Sequence
from typing import Generic

from frontrunner.strategies import protocol as p
from frontrunner.strategies.protocol import BranchStatus, Command

from .core_branch import B
from .core_state import CoreState
from .effects import (
    ForceBranches,
    ForceInBackground,
    ResumeBranch,
    ScoreBranches,
    SendProbe,
    StartBranch,
    StopBranches,
)


class CommandExecutor(Generic[B]):
    """Carries out commands; what is to be done about them goes to the state's effects. A command
    for a branch that is gone, or in a state that it does not fit, is passed over."""

    def __init__(self, state: CoreState[B]) -> None:
        self._state = state

    def execute(self, command: Command) -> None:
        """Carry out any command but ``Decide``."""
        match command:
            case p.Launch(count):
                self._launch(count)
            case p.Fork(parent, tokens, count):
                if (origin := self._state.branches.get(parent)) is not None:
                    self._launch(count, origin, tokens)
            case p.Extend():
                self._extend(command)
            case p.Cancel(indices, reason):
                self._cancel(indices, reason)
            case p.Force(indices, let_run):
                self._force(self._state.select(indices), let_run)
            case p.Probe(indices):
                self._probe(indices)
            case p.Score(indices):
                self._score(indices)
            case p.Decide():
                raise ValueError("a decision is the race's")

    def _launch(self, count: int, parent: B | None = None, tokens: int = 0) -> None:
        state = self._state
        in_all = state.options.max_launches - len(state.branches)
        for _ in range(state.slots.room(state.occupying, min(count, in_all))):
            index = len(state.branches)
            branch = state.host.launch(index, parent, tokens)
            state.add(branch)
            state.effects.append(StartBranch(branch))
            state.observations.append(p.BranchStarted(index))

    def _extend(self, command: p.Extend) -> None:
        branch = self._state.branches.get(command.branch)
        if branch is None or branch.status is not BranchStatus.FINISHED:
            return
        if not self._state.slots.room(self._state.occupying, 1):
            return
        kept = self._state.host.resume(branch, command.before, command.text)
        self._state.set_status(branch, BranchStatus.RUNNING)
        branch.answer, branch.truncated = None, False
        self._state.arrivals.remove(branch.index)
        self._state.effects.append(ResumeBranch(branch, command.text, kept))
        self._state.note_standing()

    def _cancel(self, indices: Sequence[int], reason: str) -> None:
        losers = [b for b in self._state.select(indices) if b.status.active]
        if not losers:
            return
        statuses = tuple(b.status for b in losers)
        self._state.slots.aborting += len(losers)
        for branch in losers:
            self._state.end(branch, BranchStatus.CANCELLED, reason)
        self._state.effects.append(StopBranches(tuple(losers), statuses))

    # ── forced answers ────────────────────────────────────────────────────────────────────────

    def _force(self, branches: Sequence[B], let_run: bool) -> None:
        running = [b for b in branches if b.status is BranchStatus.RUNNING]
        ended = [b for b in branches if b.status is BranchStatus.TRUNCATED and b.answer is None]
        if not self._state.options.forcible:
            self._force_nothing(ended, running, let_run=let_run or self._state.called)
            if let_run or self._state.called:
                return
            ended = []
        elif let_run:
            fresh = [b for b in running if b.background is None]
            if self._has_room_beside(len(fresh)):
                self._force_in_background(fresh)
                running = []
        ended = ended[: self._state.slots.room(self._state.occupying, len(ended))]
        indices = {b.index for b in (*running, *ended)}
        chosen = tuple(b for b in branches if b.index in indices)
        if not chosen:
            return
        for branch in chosen:
            self._state.set_status(branch, BranchStatus.FORCING)
            self._state.drop_side_requests(branch)
        self._state.arrivals = [i for i in self._state.arrivals if i not in indices]
        self._state.effects.append(ForceBranches(chosen, tuple(running)))

    def _force_nothing(self, ended: list[B], running: list[B], *, let_run: bool) -> None:
        """No continuation would bring an answer of this kind: what counts is what branches have
        written by now. Those that ended stay as they are, and so do those that run if
        ``let_run``."""
        for branch in ended:
            self._state.observations.append(p.BranchForced(branch.index))
        if let_run:
            for branch in running:
                if branch.background is None:
                    branch.background = self._state.host.new_background_answer(branch)

    def _has_room_beside(self, more: int) -> bool:
        return more <= self._state.host.room_beside() and more == self._state.slots.room_beside(
            self._state.occupying, more
        )

    def _force_in_background(self, branches: list[B]) -> None:
        if not branches:
            return
        for branch in branches:
            self._state.drop_side_requests(branch)
            branch.background = self._state.host.new_background_answer(branch)
        self._state.slots.beside += len(branches)
        answers = tuple(b.background for b in branches)
        self._state.effects.append(ForceInBackground(tuple(branches), answers))

    # ── probes and scores ─────────────────────────────────────────────────────────────────────

    def _probe(self, indices: Sequence[int]) -> None:
        if not self._state.options.forcible:
            return  # a probe is a continuation, too
        chosen = [
            b
            for b in self._state.select(indices)
            if b.status is BranchStatus.RUNNING and b.probe is None
        ]
        for branch in chosen[: self._state.slots.room_beside(self._state.occupying, len(chosen))]:
            branch.probe = self._state.host.new_probe(branch)
            self._state.slots.beside += 1
            self._state.effects.append(SendProbe(branch, branch.probe))

    def _score(self, indices: Sequence[int]) -> None:
        tasks = tuple(self._state.host.to_score(branch) for branch in self._state.select(indices))
        if tasks:
            self._state.effects.append(ScoreBranches(tasks))
