"""A race by hand: each method is one thing that happens, and returns what the strategy commands."""

from collections.abc import Sequence

from frontrunner.strategies.protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchProbed,
    BranchProgressed,
    BranchScored,
    BranchStarted,
    BranchStatus,
    BranchStepped,
    CallTimeReached,
    Cancel,
    Command,
    Decide,
    Extend,
    Force,
    Fork,
    Launch,
    Observation,
    ProbeAnswer,
    Strategy,
)

from .views import FakeView


class SmallRace:
    """Starts ``strategy`` with at most ``room`` branches running at once, and carries out what it
    commands. Scores and probes come when told to, whatever was asked."""

    def __init__(self, strategy: Strategy, room: int = 1_000) -> None:
        self.strategy = strategy
        self.room = room
        self.view = FakeView()
        self.decision: Decide | None = None
        self._waiting: list[Observation] = []
        self.first = self._carry_out(strategy.start(self.view)) + self._drain()

    def status(self, index: int) -> BranchStatus:
        return self.view.branches[index].status

    @property
    def running(self) -> list[int]:
        return [b.index for b in self.view.running]

    def progress(self, index: int, tokens: int) -> list[Command]:
        """It is ``tokens`` tokens long now."""
        branch = self.view.branches[index]
        more, branch.tokens = tokens - branch.tokens, tokens
        return self._observe(BranchProgressed(index, more))

    def step(self, index: int, tokens: int) -> list[Command]:
        """It has completed a step, ``tokens`` tokens from its beginning."""
        branch = self.view.branches[index]
        branch.tokens = max(branch.tokens, tokens)
        branch.steps.append(tokens)
        return self._observe(BranchStepped(index))

    def probed(self, index: int, answer: str | None) -> list[Command]:
        branch = self.view.branches[index]
        branch.probes.append(ProbeAnswer(branch.tokens, answer))
        return self._observe(BranchProbed(index))

    def finish(self, index: int, answer: str | None, tokens: int | None = None) -> list[Command]:
        branch = self.view.branches[index]
        assert branch.status is BranchStatus.RUNNING
        branch.status, branch.answer = BranchStatus.FINISHED, answer
        branch.tokens = branch.tokens if tokens is None else tokens
        self.view.arrivals.append(index)
        return self._observe(BranchFinished(index))

    def forced(self, index: int, answer: str | None) -> list[Command]:
        branch = self.view.branches[index]
        assert branch.status is BranchStatus.FORCING
        branch.status, branch.answer = BranchStatus.FORCED, answer
        self.view.arrivals.append(index)
        return self._observe(BranchForced(index))

    def scored(self, index: int, score: float | None) -> list[Command]:
        branch = self.view.branches[index]
        running = branch.status is BranchStatus.RUNNING
        branch.score = score
        branch.scored_tokens = branch.steps[-1] if running and branch.steps else branch.tokens
        return self._observe(BranchScored(index))

    def fail(self, index: int) -> list[Command]:
        self.view.branches[index].status = BranchStatus.FAILED
        return self._observe(BranchFailed(index))

    def call_time(self) -> list[Command]:
        self.view.reachable_tokens = 0.0
        return self._observe(CallTimeReached())

    def conclude(self) -> Decide:
        return self.strategy.conclude(self.view)

    def _observe(self, observation: Observation) -> list[Command]:
        assert self.decision is None, "the race is over"
        self._waiting.append(observation)
        return self._drain()

    def _drain(self) -> list[Command]:
        commands: list[Command] = []
        while self._waiting and self.decision is None:
            observation = self._waiting.pop(0)
            commands += self._carry_out(self.strategy.observe(observation, self.view))
        return commands

    def _carry_out(self, commands: Sequence[Command]) -> list[Command]:
        for command in commands:
            match command:
                case Launch(count):
                    self._launch(count)
                case Fork(parent, tokens, count):
                    self._launch(count, parent, tokens)
                case Cancel(indices):
                    for index in indices:
                        self.view.branches[index].status = BranchStatus.CANCELLED
                case Force(indices):
                    for index in indices:
                        self.view.branches[index].status = BranchStatus.FORCING
                        if index in self.view.arrivals:
                            self.view.arrivals.remove(index)
                case Extend(index):
                    branch = self.view.branches[index]
                    branch.status, branch.answer = BranchStatus.RUNNING, None
                    self.view.arrivals.remove(index)
                case Decide():
                    self.decision = command
                case _:
                    pass
        return list(commands)

    def _launch(self, count: int, parent: int | None = None, tokens: int = 0) -> None:
        for _ in range(min(count, self.room - len(self.view.active))):
            child = self.view.add()
            if parent is not None:
                steps = self.view.branches[parent].steps
                child.parent, child.tokens = parent, tokens
                child.steps = [end for end in steps if end <= tokens]
            self._waiting.append(BranchStarted(child.index))
