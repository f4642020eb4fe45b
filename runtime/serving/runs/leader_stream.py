"""A race told as one text: the reasoning of the branch in front, then the decided answer.

An API with one reply for a request cannot show branches side by side. What it shows must only ever
grow, since a client that was sent a piece cannot be asked to forget it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from frontrunner.strategies.protocol import BranchStatus

from ...events.types import (
    BranchEnded,
    BranchExtended,
    BranchForcing,
    BranchProgressed,
    BranchStarted,
    Event,
    RaceDecided,
    VoteChanged,
)
from ...result import Result

#: Between the text of a branch that fell back and that of the one told from here on.
SWITCH = "\n\n---\n\n"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """More of the text of the branch in front."""

    text: str
    branch: int  # -1: no single branch stands for it


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


Narrated = Reasoning | Answer | Extra | Decided


@dataclass(slots=True)
class _Told:
    """One branch as far as it is known."""

    pieces: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])  # text, tokens
    status: BranchStatus = BranchStatus.RUNNING
    answer: str | None = None

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)

    @property
    def tokens(self) -> int:
        return sum(tokens for _, tokens in self.pieces)

    def up_to(self, tokens: int) -> list[tuple[str, int]]:
        """The pieces that hold the first ``tokens`` tokens."""
        taken = list[tuple[str, int]]()
        for piece in self.pieces:
            if tokens <= 0:
                break
            taken.append(piece)
            tokens -= piece[1]
        return taken


class Narrator:
    """Tells one race; feed it every event, in order.

    The branch that speaks first is followed for as long as it can still win. When it cannot (it was
    cut or lost, or finished with an answer that does not lead), the text goes on with the longest
    branch that can, from that one's beginning. At the decision it ends with the text behind the
    answer. A branch forked from the one followed goes on where that one was.
    """

    def __init__(self, content: Callable[[Result], str]) -> None:
        """
        Args:
            content: what is told as the answer of a race that was decided; empty: nothing.
        """
        self._content = content
        self._branches: dict[int, _Told] = {}
        self._followed: int | None = None
        self._said = ""  # of the branch that is followed
        self._leader: str | None = None

    def tell(self, event: Event) -> list[Narrated]:
        """What there is to tell after ``event``."""
        told = list[Narrated]()
        match event:
            case BranchStarted():
                parent = self._branches.get(event.parent) if event.parent is not None else None
                inherited = parent.up_to(event.inherited_tokens) if parent else []
                self._branches[event.branch] = _Told(inherited)
            case BranchProgressed():
                told += self._progressed(event)
            case BranchForcing():
                self._of(event.branch).status = BranchStatus.RUNNING
            case BranchExtended():
                branch = self._of(event.branch)
                branch.status, branch.answer = BranchStatus.RUNNING, None
            case BranchEnded():
                branch = self._of(event.branch)
                branch.status, branch.answer = event.status, event.answer
            case VoteChanged():
                self._leader = event.leader
            case RaceDecided():
                told += self._decided(event.result)
                return told
            case _:
                pass
        told.append(Extra(event))
        return told

    def _of(self, index: int) -> _Told:
        return self._branches.setdefault(index, _Told())

    def _progressed(self, event: BranchProgressed) -> list[Narrated]:
        branch = self._of(event.branch)
        branch.pieces.append((event.text, event.tokens))
        if event.branch == self._followed:
            self._said += event.text
            return self._reason(event.text, event.branch)
        # Only text calls for a look at who is in front: when a race is called all branches are cut
        # one after another, and that is no reason to turn to the next each time.
        if self._followed is not None and self._can_win(self._followed):
            return []
        running = [i for i, told in self._branches.items() if told.status.active]
        if not running:
            return []
        front = max(running, key=lambda index: self._branches[index].tokens)
        return self._turn_to(self._branches[front].text, front)

    def _can_win(self, index: int) -> bool:
        branch = self._branches[index]
        if branch.status.active:
            return True
        if branch.status in (BranchStatus.CANCELLED, BranchStatus.FAILED):
            return False
        return self._leader is None or branch.answer == self._leader

    def _turn_to(self, text: str, index: int) -> list[Narrated]:
        """Go on with another branch, or with the same one if it was cut back."""
        shared = _shared(self._said, text)
        goes_on = shared == len(self._said) or index == self._followed
        more = text[shared:] if goes_on else SWITCH + text
        self._followed, self._said = index, text
        return self._reason(more, index)

    def _reason(self, text: str, index: int) -> list[Narrated]:
        return [Reasoning(text, index)] if text else []

    def _decided(self, result: Result) -> list[Narrated]:
        told = list[Narrated]()
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
