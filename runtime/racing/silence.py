"""A last branch that says nothing more does not cost the deadline.

An endpoint may accept a request and never answer it. As long as other branches run, that costs
nothing; once all others have ended, the race would wait for its call time for that branch alone.
How long silences are in this race is known by then: from its branches' starts to their first
tokens, and from token to token. One that lasts several times as long is no longer waited for.
"""

from collections.abc import Callable, Sequence
from typing import Final

import anyio
import structlog

from frontrunner.strategies.protocol import BranchStatus

from ..events.types import Event, ToolCalled, ToolReturned
from .branch import Branch
from .core import RaceCore
from .effects import Effect
from .spec import RaceSpec

_log = structlog.get_logger("frontrunner.race")

#: Seconds of silence that are nothing, whatever silences were before.
_LEAST: Final = 0.5
#: Seconds by which the event loop may be late before its own silence is reckoned with.
_LAG: Final = 0.05


class SilenceWatch:
    """Looks after the last branch of one race that runs."""

    def __init__(
        self,
        spec: RaceSpec,
        core: RaceCore[Branch],
        perform: Callable[[Sequence[Effect[Branch]]], None],
    ) -> None:
        """
        Args:
            perform: carries out what the core returns.
        """
        self._race_id = spec.race_id
        self._factor = spec.silence_factor
        self._must_answer = spec.answers.voted and not spec.optional
        self._core = core
        self._branches = core.branches
        self._perform = perform
        self._watched: Branch | None = None
        self._tools: dict[int, int] = {}  # calls under way, by branch

    def close(self) -> None:
        """The race is over. It lets go of the race, which holds it: what holds itself is left to
        the garbage collector."""
        self._perform = _ignore

    def left_alone(self) -> Branch | None:
        """The branch that is to be watched from now on (``watch``), since all others have ended and
        one has answered; None: there is none, or it is watched already."""
        if not self._factor or self._core.active != 1:
            return None
        last = self._last()
        if last is None or last is self._watched or not self._answered():
            return None
        self._watched = last
        return last

    async def watch(self, branch: Branch) -> None:
        """Wait until ``branch`` has ended, has company, or is given up."""
        since = branch.clock()  # what kept it silent before may have been the others
        branch.take_in()
        known = branch.tokens, branch.heard_at
        try:
            while self._last() is branch:
                branch.take_in()
                if branch.tokens != known[0] and branch.heard_at == known[1]:
                    since = branch.clock()  # nobody noted when they came
                known = branch.tokens, branch.heard_at
                heard, limit = max(branch.heard_at, since), self.limit
                due = heard + limit
                if branch.clock() >= due and not self._tools.get(branch.index):
                    self._give_up(branch, self._why(branch, limit))
                    return
                if self._tools.get(branch.index):
                    due = branch.clock() + _LEAST  # a tool has a limit of its own
                    since = due
                await anyio.sleep_until(due)
                if (late := branch.clock() - due) > _LAG:
                    # What came meanwhile is still to be read: it gets as long again.
                    since = heard + 2 * late
        finally:
            if self._watched is branch:
                self._watched = None

    def told(self, event: Event) -> None:
        """A branch that waits for a tool is not silent by itself."""
        match event:
            case ToolCalled(branch=index):
                self._tools[index] = self._tools.get(index, 0) + 1
            case ToolReturned(branch=index):
                self._tools[index] = self._tools.get(index, 1) - 1
                if (waiting := self._branches.get(index)) is not None:
                    waiting.heard_at = waiting.clock()
            case _:
                pass

    def _give_up(self, branch: Branch, why: str) -> None:
        _log.warning(
            "frontrunner.branch_given_up", race=self._race_id, branch=branch.index, why=why
        )
        self._perform(self._core.given_up(branch, why))

    @property
    def limit(self) -> float:
        """Seconds of silence after which the last branch is given up."""
        return max(_LEAST, self._factor * self._longest)

    def _last(self) -> Branch | None:
        active = [b for b in self._branches.values() if b.status.active]
        if len(active) != 1 or active[0].status is not BranchStatus.RUNNING:
            return None
        # One whose answer is being compared has ended, though it does not count yet.
        return active[0] if active[0].pending_answer is None else None

    def _answered(self) -> bool:
        return any(
            b.answer is not None or (b.status is BranchStatus.FINISHED and not self._must_answer)
            for b in self._branches.values()
        )

    @property
    def _longest(self) -> float:
        return max((b.longest_silence for b in self._branches.values()), default=0.0)

    def _why(self, branch: Branch, limit: float) -> str:
        silent = branch.clock() - branch.heard_at
        return (
            f"it said nothing for {silent:.2g} s while all others had ended, and {limit:.2g} s are "
            "far more than any token of this race took (race.silence_factor)"
        )


def _ignore(_: Sequence[Effect[Branch]]) -> None:
    pass
