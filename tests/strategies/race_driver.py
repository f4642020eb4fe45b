"""A race whose engine is whoever drives it: the core that runs every race, without time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from frontrunner.runtime.racing import effects as e
from frontrunner.runtime.racing.core import RaceCore
from frontrunner.runtime.racing.core_branch import BackgroundAnswer
from frontrunner.runtime.racing.core_state import CoreOptions
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import (
    BranchStatus,
    Command,
    Decide,
    Observation,
    RaceView,
    Strategy,
    needs_of,
)
from frontrunner.strategies.standing import Standing, standing_of

from .views import FakeBranch


@dataclass(eq=False)
class Background:
    """A forced answer beside a branch; the driver says when it comes."""

    answer: str | None = None


class Observed:
    """A strategy whose commands are noted as they are given.

    Args:
        strategy: is asked.
        note: is told what it commanded, before any of it is carried out.
    """

    def __init__(
        self, strategy: Strategy, note: Callable[[Sequence[Command]], None], concluded: Any = None
    ) -> None:
        self._strategy, self._note = strategy, note
        self._concluded: Callable[[Decide], None] | None = concluded
        self.needs = needs_of(strategy)

    def start(self, view: RaceView) -> Sequence[Command]:
        return self._noted(self._strategy.start(view))

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        return self._noted(self._strategy.observe(observation, view))

    def conclude(self, view: RaceView) -> Decide:
        decision = self._strategy.conclude(view)
        if self._concluded is not None:
            self._concluded(decision)
        return decision

    def standing(self, view: RaceView) -> Standing:
        return standing_of(self._strategy, view)

    def _noted(self, commands: Sequence[Command]) -> Sequence[Command]:
        self._note(commands)
        return commands


@dataclass(eq=False)
class DrivenRace:
    """The core of a race and what it left to be done; satisfies ``RaceHost``.

    Args:
        room: branches that run at a time.
        limit: branches that are launched in all.
    """

    strategy: Strategy
    room: int = 1_000
    limit: int = 100_000
    watched: bool = False
    view: "DrivenView" = field(default_factory=lambda: DrivenView())
    beside: float = float("inf")
    """How many more requests the engine can run now."""
    done: list[e.Effect[FakeBranch]] = field(default_factory=list[e.Effect[FakeBranch]])
    """All effects, in order."""
    scoring: list[int] = field(default_factory=list[int])
    """Branches whose scores were asked for and have not come."""
    core: RaceCore[FakeBranch] = field(init=False)

    def __post_init__(self) -> None:
        options = CoreOptions(self.room, self.limit, tolerant=False)
        self.core = RaceCore(self.strategy, self, options)
        self.core.watched = self.watched
        self.view.race = self

    @property
    def branches(self) -> Mapping[int, FakeBranch]:
        return self.core.branches

    @property
    def forcing(self) -> list[FakeBranch]:
        return [b for b in self.branches.values() if b.status is BranchStatus.FORCING]

    @property
    def probing(self) -> list[FakeBranch]:
        return [b for b in self.branches.values() if b.probe is not None]

    def take(self, effects: Sequence[e.Effect[FakeBranch]]) -> None:
        """Note what the core returned."""
        self.done.extend(effects)
        for effect in effects:
            if isinstance(effect, e.ScoreBranches):
                self.scoring.extend(effect.tasks)

    # ── what the core asks ────────────────────────────────────────────────────────────────────

    def launch(self, index: int, parent: FakeBranch | None, tokens: int) -> FakeBranch:
        branch = FakeBranch(index)
        if parent is not None:
            branch.parent, branch.tokens = parent.index, tokens
            branch.steps = [end for end in parent.steps if end <= tokens]
            branch.written, branch.confidences = parent.written, parent.confidences[:tokens]
        return branch

    def resume(self, branch: FakeBranch, before: str, text: str) -> None:
        branch.written += text

    def adopt(
        self, branch: FakeBranch, background: BackgroundAnswer, still_running: bool
    ) -> None: ...

    def new_probe(self, branch: FakeBranch) -> object:
        return object()

    def new_background_answer(self, branch: FakeBranch) -> Background:
        return Background()

    def to_score(self, branch: FakeBranch) -> int:
        return branch.index

    def room_beside(self) -> float:
        return self.beside

    def lingering(self) -> int:
        return 0

    def reachable_tokens(self) -> float | None:
        return self.view.reachable_tokens

    def lengths(self) -> LengthModel | None:
        return self.view.lengths


@dataclass(eq=False)
class DrivenView:
    """What a test sees of a driven race, and sets of what its strategy sees."""

    race: DrivenRace | None = None
    reachable_tokens: float | None = None
    lengths: LengthModel | None = None

    @property
    def branches(self) -> Mapping[int, FakeBranch]:
        return self.race.core.branches if self.race is not None else {}

    @property
    def arrivals(self) -> Sequence[int]:
        return self.race.core.arrivals if self.race is not None else ()

    @property
    def running(self) -> list[FakeBranch]:
        return [b for b in self.branches.values() if b.status is BranchStatus.RUNNING]

    @property
    def active(self) -> list[FakeBranch]:
        return [b for b in self.branches.values() if b.status.active]
