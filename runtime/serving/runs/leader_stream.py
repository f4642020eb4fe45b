"""A race told as one text: the reasoning of the branch in front, then the decided answer.

An API with one reply for a request cannot show branches side by side. What it shows must only ever
grow, since a client that was sent a piece cannot be asked to forget it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from frontrunner.strategies.protocol import BranchStatus

from ...events.fold import RaceState
from ...events.types import BranchExtended, BranchProgressed, Event, RaceDecided, RaceStarted
from ...result import Result

#: Between the text of a branch that fell back and that of the one told from here on.
SEPARATOR = "\n\n---\n\n"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """More of the text of the branch in front."""

    text: str
    branch: int  # -1: no single branch stands for it
    behind: str | None = None
    """The text that it goes on from, where that is not all that was told: the beginning of another
    branch's, or of the same one's after it was cut back."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The decided answer, whole or a part of it."""

    text: str


@dataclass(frozen=True, slots=True)
class Extra:
    """An event of the race as it is."""

    event: Event


@dataclass(frozen=True, slots=True)
class Decided:
    """The last of all."""

    result: Result


StreamItem = Reasoning | Answer | Extra | Decided


class LeaderStream:
    """Tells one race; feed it every event, in order.

    The branch that speaks first is followed for as long as it can still win. When it cannot (it was
    cut or lost, or finished with an answer that does not lead), the text goes on with the longest
    branch that can, from that one's beginning. At the decision it ends with the text behind the
    answer. A branch forked from the one followed goes on where that one was. What the followed one
    takes back, because it was extended or its forced answer stands after less text, was told: the
    text goes on with what takes its place.
    """

    def __init__(self, content: Callable[[Result], str], *, extras: bool = True) -> None:
        """
        Args:
            content: what is told as the answer of a race that was decided; empty: nothing.
            extras: whether other events than the first are told as they are.
        """
        self._content = content
        self._extras = extras
        self._race = RaceState()
        self._followed: int | None = None

    def tell(self, event: Event) -> list[StreamItem]:
        """What there is to tell after ``event``."""
        if isinstance(event, RaceDecided):
            told = self._decided(event.result)
            self._race.apply(event)
            return told
        self._race.apply(event)
        told = list[StreamItem]()
        if isinstance(event, BranchProgressed):
            told = self._progressed(event)
        elif isinstance(event, BranchExtended) and event.branch == self._followed:
            told = self._reason(event.text, event.branch, self._said.removesuffix(event.text))
        if self._extras or isinstance(event, RaceStarted):
            told.append(Extra(event))
        return told

    @property
    def begun(self) -> bool:
        """Whether any text was told."""
        return self._followed is not None

    def hears(self, branch: int) -> bool:
        """Whether text of ``branch`` could be told now."""
        followed = self._followed
        return branch == followed or followed is None or not self._can_win(followed)

    @property
    def _said(self) -> str:
        """The text of the branch that is followed, all of which was told."""
        return "" if self._followed is None else self._race.branches[self._followed].text

    def _progressed(self, event: BranchProgressed) -> list[StreamItem]:
        if event.branch == self._followed:
            return self._reason(event.text, event.branch)
        # Only text calls for a look at who is in front: when a race is called all branches are cut
        # one after another, and that is no reason to turn to the next each time.
        if self._followed is not None and self._can_win(self._followed):
            return []
        running = [branch for branch in self._race.branches.values() if branch.status.active]
        if not running:
            return []
        front = max(running, key=lambda branch: branch.inherited_tokens + branch.tokens)
        told = self._turn_to(front.text, front.index)
        self._followed = front.index
        return told

    def _can_win(self, index: int) -> bool:
        branch = self._race.branches[index]
        if branch.status.active:
            return True
        if branch.status in (BranchStatus.CANCELLED, BranchStatus.FAILED):
            return False
        return self._race.leader is None or branch.answer == self._race.leader

    def _turn_to(self, text: str, index: int) -> list[StreamItem]:
        """Go on with the text of another branch, or with the same one's if it was cut back."""
        said = self._said
        shared = _shared(said, text)
        if shared == len(said):
            return self._reason(text[shared:], index)
        if index == self._followed:
            return self._reason(text[shared:], index, text[:shared])
        return self._reason(SEPARATOR + text, index, "")

    def _reason(self, text: str, index: int, behind: str | None = None) -> list[StreamItem]:
        return [Reasoning(text, index, behind)] if text else []

    def _decided(self, result: Result) -> list[StreamItem]:
        told = list[StreamItem]()
        if result.answer is not None and result.text:
            behind = [b for b in result.branches if b.text == result.text]
            voted = [b for b in behind if b.answer == result.answer] or behind
            indices = [branch.index for branch in voted]
            index = self._followed if self._followed in indices else next(iter(indices), -1)
            told += self._turn_to(result.text, -1 if index is None else index)
        if text := self._content(result):
            told.append(Answer(text))
        told.append(Decided(result))
        return told


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    if other.startswith(one):
        return len(one)
    return next(
        (i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )
