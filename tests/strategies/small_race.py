"""A race by hand: each method is one thing that happens, and returns what the strategy commands."""

from collections.abc import Sequence

from frontrunner.runtime.racing.effects import Effect
from frontrunner.strategies.protocol import BranchStatus, Command, Decide, Strategy

from .race_driver import DrivenRace, DrivenView, Observed
from .views import FakeBranch


class SmallRace:
    """Starts ``strategy`` with at most ``room`` branches running at once. Scores and probes come
    when told to, whatever was asked; branches are always stopped to be forced."""

    def __init__(self, strategy: Strategy, room: int = 1_000) -> None:
        self.strategy = strategy
        self._commands: list[Command] = []
        observed = Observed(strategy, self._commands.extend)
        self._race = DrivenRace(observed, room, beside=0.0)
        self._core = self._race.core
        self.first = self._took(self._core.start())

    @property
    def view(self) -> DrivenView:
        return self._race.view

    @property
    def decision(self) -> Decide | None:
        return self._core.decision

    def status(self, index: int) -> BranchStatus:
        return self._branch(index).status

    @property
    def running(self) -> list[int]:
        return [b.index for b in self.view.running]

    def progress(self, index: int, tokens: int) -> list[Command]:
        """It is ``tokens`` tokens long now."""
        branch = self._branch(index)
        more, branch.tokens = tokens - branch.tokens, tokens
        return self._took(self._core.progressed(branch, more))

    def step(self, index: int, tokens: int) -> list[Command]:
        """It has completed a step, ``tokens`` tokens from its beginning."""
        branch = self._branch(index)
        branch.tokens = max(branch.tokens, tokens)
        branch.steps.append(tokens)
        return self._took(self._core.stepped(branch))

    def probed(self, index: int, answer: str | None) -> list[Command]:
        branch = self._branch(index)
        branch.probe = branch.probe or object()
        return self._took(self._core.probed(branch, branch.probe, branch.tokens, answer))

    def finish(self, index: int, answer: str | None, tokens: int | None = None) -> list[Command]:
        branch = self._branch(index)
        assert branch.status is BranchStatus.RUNNING
        branch.tokens = branch.tokens if tokens is None else tokens
        return self._took(self._core.arrived(branch, answer, BranchStatus.FINISHED))

    def truncate(self, index: int, answer: str | None, tokens: int | None = None) -> list[Command]:
        branch = self._branch(index)
        assert branch.status is BranchStatus.RUNNING
        branch.tokens = branch.tokens if tokens is None else tokens
        return self._took(self._core.arrived(branch, answer, BranchStatus.TRUNCATED))

    def forced(self, index: int, answer: str | None) -> list[Command]:
        branch = self._branch(index)
        assert branch.status is BranchStatus.FORCING
        return self._took(self._core.arrived(branch, answer, BranchStatus.FORCED))

    def scored(self, index: int, score: float | None) -> list[Command]:
        branch = self._branch(index)
        running = branch.status is BranchStatus.RUNNING
        tokens = branch.steps[-1] if running and branch.steps else branch.tokens
        return self._took(self._core.scored(branch, tokens, score))

    def fail(self, index: int) -> list[Command]:
        return self._took(self._core.lost(self._branch(index), "lost"))

    def call_time(self) -> list[Command]:
        self.view.reachable_tokens = 0.0
        return self._took(self._core.reach_call_time())

    def conclude(self) -> Decide:
        return self.strategy.conclude(self._core)

    def _branch(self, index: int) -> FakeBranch:
        return self._core.branches[index]

    def _took(self, effects: Sequence[Effect[FakeBranch]]) -> list[Command]:
        self._race.take(effects)
        commands = list(self._commands)
        self._commands.clear()
        return commands
