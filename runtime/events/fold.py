"""What is known of a race, made of its events alone.

Whatever shows a race or writes it down feeds its events to a ``RaceState`` and reads that; so all
of them show the same. The page in the browser has this class in JavaScript (``state.js``), held to
it by recorded streams.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from frontrunner.strategies.protocol import BranchStatus, ProbeAnswer

from ..result import Result
from . import types as events
from .growing_text import GrowingText


@dataclass(frozen=True, slots=True)
class ToolState:
    """A call of a tool that a branch made on its way."""

    call: int
    name: str
    arguments: str
    outcome: str | None = None
    """How it ended (``ToolReturned``); None: the branch waits for it."""
    result: str | None = None


@dataclass(slots=True)
class BranchState:
    """One branch as its events tell it."""

    index: int
    started_at: float
    """Seconds since the start of the race, as all times here."""
    parent: int | None = None
    """The branch that it was forked from."""
    inherited_tokens: int = 0
    """The parent's tokens that it went on from; not in ``tokens``."""
    status: BranchStatus = BranchStatus.RUNNING
    """A branch whose forced answer is asked for beside it is running."""
    tokens: int = 0
    """Generated, the forced answer's included, and those that a forced answer took the place of."""
    answer: str | None = None
    reason: str | None = None
    """Why it was cancelled or lost."""
    asked_tokens: int | None = None
    """Its length, inherited tokens included, when it was last asked for its answer; None: it was
    not, or was extended since."""
    extensions: int = 0
    """How often it was made to go on after its end."""
    probes: tuple[ProbeAnswer, ...] = ()
    scores: tuple[tuple[int, float | None], ...] = ()
    """Tokens that a score has seen, and the score; None: it failed."""
    calls: tuple[ToolState, ...] = ()
    ended_at: float | None = None
    _text: GrowingText = field(default_factory=GrowingText)
    _forced: GrowingText = field(default_factory=GrowingText)
    _asked_characters: int = 0

    @property
    def own_text(self) -> str:
        """What it wrote by itself, after what it took over from its parent."""
        return str(self._text)

    @property
    def forced_text(self) -> str:
        """The forcing suffix and what came after it."""
        return str(self._forced)

    @property
    def text(self) -> str:
        """All of its text, what it took over from its parent and its forced answer included."""
        return self.own_text + self.forced_text

    @property
    def own_tokens(self) -> int:
        """Its length without a forced answer's tokens, inherited ones included."""
        return self._text.tokens

    @property
    def score(self) -> float | None:
        """The last one; None: none (yet), or it failed."""
        return self.scores[-1][1] if self.scores else None

    def tail(self, characters: int) -> str:
        """The end of ``text``; costs no more than that."""
        forced = self._forced.tail(characters)
        return self._text.tail(characters - len(forced)) + forced

    def inherit(self, parent: "BranchState | None", characters: int | None) -> None:
        """Begin with the first ``characters`` characters of ``parent``'s text; None: with what the
        inherited tokens wrote, as far as pieces of text tell. Of an unknown parent only the number
        of tokens is known."""
        if parent is None:
            self._text = GrowingText("", self.inherited_tokens)
            return
        if characters is None:
            characters = parent._text.characters_of(self.inherited_tokens)
        self._text = parent._text.copy(characters, self.inherited_tokens)

    def progress(self, text: str, tokens: int, *, forced: bool) -> None:
        """Take in a piece of text. A forced answer stands after the text as it was when the branch
        was asked; what was generated since counts nevertheless."""
        if not forced:
            self._text.append(text, tokens)
        else:
            if self.asked_tokens is not None and len(self._text) > self._asked_characters:
                self._text.cut(self._asked_characters, self._text.tokens)
            self._forced.append(text, tokens)
        self._count()

    def ask(self, tokens: int, *, beside: bool) -> None:
        """Its forced answer is asked for; not ``beside``: it is stopped for that."""
        self.asked_tokens, self._asked_characters = tokens, len(self._text)
        if not beside:
            self.status, self.ended_at = BranchStatus.FORCING, None

    def extend(self, event: events.BranchExtended) -> None:
        """Go on after an end."""
        if event.kept_tokens is not None and event.kept_characters is not None:
            self._text.cut(event.kept_characters, event.kept_tokens)
        self._text.append(event.text, event.text_tokens)
        self.status, self.ended_at = BranchStatus.RUNNING, None
        self.answer = self.reason = self.asked_tokens = None
        self.extensions += 1
        self._count()

    def call_returned(self, event: events.ToolReturned) -> None:
        """A call has come to its end."""
        self.calls = tuple(
            replace(call, outcome=event.outcome, result=event.result)
            if call.call == event.call
            else call
            for call in self.calls
        )

    def end(self, event: events.BranchEnded) -> None:
        """End, perhaps not for the last time."""
        self.status, self.tokens = event.status, event.tokens
        self.answer, self.reason = event.answer, event.reason
        self.ended_at = event.at

    def _count(self) -> None:
        self.tokens = self._text.tokens - self.inherited_tokens + self._forced.tokens

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "index": self.index,
            "parent": self.parent,
            "inherited_tokens": self.inherited_tokens,
            "status": self.status.value,
            "tokens": self.tokens,
            "answer": self.answer,
            "reason": self.reason,
            "asked_tokens": self.asked_tokens,
            "extensions": self.extensions,
            "probes": [{"tokens": p.tokens, "answer": p.answer} for p in self.probes],
            "scores": [{"tokens": tokens, "score": score} for tokens, score in self.scores],
            "calls": [
                {
                    "call": call.call,
                    "name": call.name,
                    "arguments": call.arguments,
                    "outcome": call.outcome,
                    "result": call.result,
                }
                for call in self.calls
            ],
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "text": self.own_text,
            "forced_text": self.forced_text,
        }


@dataclass(slots=True)
class RaceState:
    """A race as its events tell it; ``apply`` takes them in, in order.

    A viewer that comes late may begin with any event. One thread applies events; others may read
    meanwhile.
    """

    race_id: str = ""
    at: float = 0.0
    """Of the last event, seconds since the start."""
    deadline: float | None = None
    """Seconds since the start; None: the race has not begun."""
    max_branches: int = 0
    """How many run at a time at most."""
    branches: dict[int, BranchState] = field(default_factory=dict[int, BranchState])
    """By index; it only grows."""
    votes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Finished branches by answer, most first."""
    forced_votes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Forced answers, likewise."""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """What each answer weighs for the strategy that decides."""
    leader: str | None = None
    """The answer that the strategy would decide for now; at last the one that it decided for."""
    called_at: float | None = None
    """When the call time was reached."""
    result: Result | None = None

    def apply(self, event: events.Event) -> None:
        """Take in what happened."""
        if event.at > self.at:
            self.at = event.at
        if type(event) is events.BranchProgressed:  # by far the most frequent one
            self._of(event).progress(event.text, event.tokens, forced=event.forced)
            return
        match event:
            case events.RaceStarted():
                self.race_id, self.deadline = event.race_id, event.deadline
                self.max_branches = event.branches
            case events.BranchStarted():
                self._start(event)
            case events.BranchForcing(_, _, tokens, beside):
                self._of(event).ask(tokens, beside=beside)
            case events.BranchProbed(_, _, tokens, answer):
                self._of(event).probes += (ProbeAnswer(tokens, answer),)
            case events.BranchScored(_, _, tokens, score):
                self._of(event).scores += ((tokens, score),)
            case events.BranchExtended():
                self._of(event).extend(event)
            case events.ToolCalled(_, _, call, name, arguments):
                self._of(event).calls += (ToolState(call, name, arguments),)
            case events.ToolReturned():
                self._of(event).call_returned(event)
            case events.BranchEnded():
                self._of(event).end(event)
            case events.VoteChanged():
                self.votes, self.forced_votes = event.votes, event.forced_votes
                self.weights, self.leader = event.weights, event.leader
            case events.CallTimeReached(at):
                self.called_at = at
            case events.RaceDecided(_, result):
                self.result = result
                self.votes, self.forced_votes = result.votes, result.forced_votes
                self.leader = result.answer

    def ranking(self) -> list[str]:
        """All answers, best first: the leader, then by weight, finished votes, forced ones, and
        spelling, since the order of arrival does not outlive every reader of JSON."""

        def place(answer: str) -> tuple[bool, float, int, int]:
            votes = self.votes.get(answer, 0)
            weight = self.weights.get(answer, votes)
            return answer == self.leader, weight, votes, self.forced_votes.get(answer, 0)

        answers = {*self.votes, *self.forced_votes, *self.weights}
        return sorted(sorted(answers), key=place, reverse=True)

    def counted(self, status: BranchStatus) -> int:
        """Number of branches that are ``status`` now."""
        return sum(branch.status is status for branch in list(self.branches.values()))

    def to_dict(self) -> dict[str, Any]:
        """All of it but the result, as JSON has it."""
        return {
            "race_id": self.race_id,
            "at": self.at,
            "deadline": self.deadline,
            "max_branches": self.max_branches,
            "branches": [branch.to_dict() for branch in self.branches.values()],
            "votes": dict(self.votes),
            "forced_votes": dict(self.forced_votes),
            "weights": dict(self.weights),
            "leader": self.leader,
            "ranking": self.ranking(),
            "called_at": self.called_at,
            "decided": self.result is not None,
        }

    def _start(self, event: events.BranchStarted) -> None:
        branch = BranchState(event.branch, event.at, event.parent, event.inherited_tokens)
        parent = self.branches.get(event.parent) if event.parent is not None else None
        branch.inherit(parent, event.inherited_characters)
        self.branches[event.branch] = branch

    def _of(self, event: events.BranchEvent) -> BranchState:
        branch = self.branches.get(event.branch)
        if branch is None:
            branch = self.branches[event.branch] = BranchState(event.branch, event.at)
        return branch
