"""What a race knows, and the few ways in which that changes."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol

from frontrunner.strategies import protocol as p
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import BranchStatus, Decide, Observation

from .core_branch import B, BackgroundAnswer
from .effects import BranchEnded, DropSideRequests, Effect, ForcedAnswerAdopted
from .slots import NoLimit, SlotAccount, Slots

# Asked for each branch of every race that is replayed: a tuple of two is faster than a property.
_ACTIVE = (BranchStatus.RUNNING, BranchStatus.FORCING)


class RaceHost(Protocol[B]):
    """Whoever runs the branches of a core, as far as the core must ask. All of it is answered at
    once, and none of it calls the core."""

    def launch(self, index: int, parent: B | None, tokens: int) -> B:
        """A new branch, on the question or from the first ``tokens`` tokens of ``parent``."""
        ...

    def resume(self, branch: B, before: str, text: str) -> Any:
        """Let ``text`` take the place of ``before`` and what follows in what ``branch`` wrote."""
        ...

    def adopt(self, branch: B, background: Any, still_running: bool) -> None:
        """Let a background answer stand for what ``branch`` has written since it was asked.
        ``still_running``: its own request is with the engine as long as the race."""
        ...

    def new_probe(self, branch: B) -> Any:
        """A probe of ``branch``, as it stands."""
        ...

    def new_background_answer(self, branch: B) -> BackgroundAnswer:
        """The forced answer of ``branch``, as it stands, still to come. Of a kind of answer that is
        not forcible: what it has said so far."""
        ...

    def to_score(self, branch: B) -> Any:
        """What a reward model is to see of ``branch``, as it stands."""
        ...

    def room_beside(self) -> float:
        """How many more requests the engine can run now."""
        ...

    def lingering(self) -> int:
        """Branches that have ended while the engine still holds a request of theirs."""
        ...

    def reachable_tokens(self) -> float | None:
        """See ``RaceView``."""
        ...

    def lengths(self) -> LengthModel | None:
        """See ``RaceView``."""
        ...


@dataclass(frozen=True, slots=True)
class CoreOptions:
    """What a race may do.

    Args:
        max_branches: branches that may run at a time.
        max_launches: branches that may be launched in all.
        min_branches: a lowered limit of branches stays at least this.
        forcible: whether a continuation can bring an answer of the kind that is asked for.
        tolerant: a strategy that fails costs its advice and not the race; else its error is raised.
        slots: what the race may occupy.
    """

    max_branches: int
    max_launches: int
    min_branches: int = 1
    forcible: bool = True
    tolerant: bool = True
    slots: Slots = NoLimit()  # noqa: RUF009 - it holds nothing


class CoreState(Generic[B]):
    """The branches of a race, what has come of them, and what is to be told and done about it."""

    def __init__(self, host: RaceHost[B], options: CoreOptions) -> None:
        self.host = host
        self.options = options
        self.slots = SlotAccount(options.slots, options.max_branches)
        self.branches: dict[int, B] = {}
        self.arrivals: list[int] = []
        self.decision: Decide | None = None
        self.called = False
        """Whether the call time was reached."""
        self.observations: deque[Observation] = deque()
        """What the strategy is still to be told."""
        self.effects: list[Effect[B]] = []
        """What is still to be done."""
        self.standing_at: int | None = None
        """Where among the effects the standing may have changed: it is told there, as it is once
        the strategy has heard of what happened. None: it has not changed."""
        self.active = 0
        """Branches that run or are being forced."""

    # ── branches ──────────────────────────────────────────────────────────────────────────────

    def add(self, branch: B) -> None:
        """A new branch, which runs."""
        self.branches[branch.index] = branch
        self.active += 1

    def select(self, indices: Sequence[int]) -> list[B]:
        known = self.branches
        return [known[i] for i in dict.fromkeys(indices) if i in known]

    @property
    def occupying(self) -> int:
        """Branches that hold a slot."""
        return self.active + self.host.lingering()

    def set_status(self, branch: B, status: BranchStatus) -> None:
        self.active += (status in _ACTIVE) - (branch.status in _ACTIVE)
        branch.status = status

    def end(self, branch: B, status: BranchStatus, reason: str | None = None) -> None:
        self.set_status(branch, status)
        self.drop_side_requests(branch)
        self.effects.append(
            BranchEnded(branch, status, branch.tokens_generated(), branch.answer, reason)
        )

    def drop_side_requests(self, branch: B) -> None:
        if branch.probe is not None or branch.background is not None:
            self.effects.append(DropSideRequests(branch, branch.probe, branch.background))
            branch.probe = branch.background = None

    def note_standing(self) -> None:
        """The standing may have changed."""
        self.standing_at = len(self.effects)

    # ── answers ───────────────────────────────────────────────────────────────────────────────

    def adopt(self, branch: B, *, still_running: bool = False) -> bool:
        """End ``branch`` with its background answer, if that has come."""
        background = branch.background
        if background is None or self.decision is not None or background.answer is None:
            return False
        answer = background.answer
        self.host.adopt(branch, background, still_running)
        self.effects.append(ForcedAnswerAdopted(branch, background))
        self.arrive(branch, answer, BranchStatus.FORCED)
        return True

    def arrive(self, branch: B, answer: str | None, status: BranchStatus) -> None:
        if self.decision is not None or branch.status not in _ACTIVE:
            return  # came with the decision, which did not see it: the branch ends as cancelled
        # One that ended by itself has said all that it had to say, be it without an answer.
        cut = status is BranchStatus.TRUNCATED
        if cut:
            branch.truncated = True
            if answer is None and self.adopt(branch):
                return
        branch.answer = answer
        self.arrivals.append(branch.index)
        self.end(branch, status)
        if answer is not None:
            self.note_standing()
        self.observations.append(
            p.BranchForced(branch.index)
            if status is BranchStatus.FORCED
            else p.BranchFinished(branch.index)
        )
