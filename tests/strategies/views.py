"""A race as a strategy sees it, made by hand."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from frontrunner.runtime.racing.core_branch import CoreBranch
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus


@dataclass(slots=True, eq=False)
class FakeBranch(CoreBranch):
    """Satisfies ``BranchView``."""

    written: str = ""

    @property
    def text(self) -> str:
        return self.written

    def tokens_generated(self) -> int:
        return self.tokens


@dataclass
class FakeView:
    """Satisfies ``RaceView``."""

    branches: dict[int, FakeBranch] = field(default_factory=dict[int, FakeBranch])
    arrivals: list[int] = field(default_factory=list[int])
    reachable_tokens: float | None = None
    lengths: LengthModel | None = None

    @property
    def running(self) -> list[FakeBranch]:
        return [b for b in self.branches.values() if b.status is BranchStatus.RUNNING]

    @property
    def active(self) -> list[FakeBranch]:
        return [b for b in self.branches.values() if b.status.active]

    def add(
        self, status: BranchStatus = BranchStatus.RUNNING, answer: str | None = None
    ) -> FakeBranch:
        """A branch in ``status``; those that have come to an end arrive in this order."""
        branch = FakeBranch(len(self.branches), status=status, answer=answer)
        self.branches[branch.index] = branch
        branch.truncated = status is BranchStatus.TRUNCATED
        if status in (BranchStatus.FINISHED, BranchStatus.TRUNCATED, BranchStatus.FORCED):
            self.arrivals.append(branch.index)
        return branch


def view_of(
    finished: Iterable[str | None] = (),
    forced: Iterable[str | None] = (),
    running: int = 0,
    truncated: Iterable[str | None] = (),
) -> FakeView:
    """A race with these answers in, in this order, and ``running`` branches still at work."""
    view = FakeView()
    for answer in finished:
        view.add(BranchStatus.FINISHED, answer)
    for answer in truncated:
        view.add(BranchStatus.TRUNCATED, answer)
    for answer in forced:
        view.add(BranchStatus.FORCED, answer)
    for _ in range(running):
        view.add()
    return view
