"""From the effects of a race to its events, for whoever watches it."""

from collections.abc import Callable, Sequence

import anyio

from frontrunner.strategies.protocol import BranchStatus

from .. import events
from ..events.event_stream import EventSink
from ..result import Result
from . import effects as e
from .branch import Branch, Kept
from .observers import RaceWatcher
from .spec import RaceSpec


class EventPublisher:
    """Tells of one race."""

    def __init__(self, spec: RaceSpec, publish: Callable[[events.Event], None] | None) -> None:
        self._spec = spec
        self._stream: EventSink | None = None
        self._told = [publish] if publish is not None else []
        self._told_progress = [*self._told]
        self._told_pulse: list[Callable[[float], None]] = []
        # A flag, and not the method to call: that would be a cycle, which a race that is cancelled
        # would leave to the garbage collector with all that it has told.
        self._is_watched = publish is not None
        self.clock: Callable[[], float] = anyio.current_time

    @property
    def watched(self) -> bool:
        """Whether anybody listens."""
        return self._is_watched

    def stream_to(self, stream: EventSink) -> None:
        """Also tell the reader of ``stream``."""
        self._stream = stream
        self._is_watched = True

    def add(self, watcher: RaceWatcher) -> None:
        """Also tell ``watcher``."""
        self._told.append(watcher.event)
        if getattr(watcher, "hears_progress", True):
            self._told_progress.append(watcher.event)
        if (pulse := getattr(watcher, "progressed", None)) is not None:
            self._told_pulse.append(pulse)
        self._is_watched = True

    def _to_all(self, event: events.Event) -> None:
        if self._stream is not None:
            self._stream.push(event)
        for told in self._told:
            told(event)

    def started(self) -> None:
        spec = self._spec
        self.tell(
            events.RaceStarted(
                self._at(),
                spec.race_id,
                spec.time_limit,
                spec.max_branches,
                len(spec.prompt),
                spec.instruction,
                spec.thinking,
            )
        )

    def progressed(self, index: int, text: str, tokens: int, *, forced: bool) -> None:
        """By far the most frequent event; made only for those that want it as an object."""
        at = self.clock() - self._spec.began
        if self._stream is not None:
            self._stream.push_progress(at, index, text, tokens, forced)
        if self._told_progress:
            event = events.BranchProgressed(at, index, text, tokens, forced)
            for told in self._told_progress:
                told(event)
        for pulse in self._told_pulse:
            pulse(at)

    def progressed_at_once(
        self, index: int, texts: Sequence[str], token_ids: Sequence[Sequence[int]]
    ) -> None:
        """The same of several pieces that came together: joined for the reader of a stream, who
        would find them joined."""
        at = self.clock() - self._spec.began
        if self._stream is not None:
            self._stream.push_progress(at, index, "".join(texts), sum(map(len, token_ids)), False)
        for told in self._told_progress:
            for text, ids in zip(texts, token_ids, strict=True):
                told(events.BranchProgressed(at, index, text, len(ids), False))
        for pulse in self._told_pulse:
            pulse(at)

    def suffix_added(self, branch: Branch) -> None:
        if self._is_watched and (suffix := branch.forced_text):
            self._to_all(events.BranchProgressed(self._at(), branch.index, suffix, 0, True))

    def call_time_reached(self, reserve: float) -> None:
        self.tell(events.CallTimeReached(self._at(), reserve))

    def decided(self, result: Result) -> None:
        self.tell(events.RaceDecided(self._at(), result))
        self._is_watched = False  # it is the last: what a tool does now is nobody's concern

    def effect(self, effect: e.Effect[Branch]) -> None:
        """Tell of ``effect``, if it is one that a viewer must know of."""
        if not self._is_watched:
            return
        at = self._at()
        match effect:
            case e.StartBranch(branch):
                self._to_all(_started(at, branch))
            case e.ResumeBranch(branch, text, Kept() as kept):
                self._to_all(
                    events.BranchExtended(
                        at, branch.index, text, kept.added_tokens, kept.tokens, kept.characters
                    )
                )
            case e.ForceBranches(branches):
                for branch in branches:
                    self._to_all(events.BranchForcing(at, branch.index, branch.tokens))
            case e.ForceInBackground(branches):
                for branch in branches:
                    self._to_all(events.BranchForcing(at, branch.index, branch.tokens, beside=True))
            case e.ForcedAnswerAdopted(branch, background) if str(background.text):
                text, tokens = str(background.text), background.forced_tokens
                self._to_all(events.BranchProgressed(at, branch.index, text, tokens, True))
            case e.ProbeAnswered(branch, tokens, answer):
                self._to_all(events.BranchProbed(at, branch.index, tokens, answer))
            case e.BranchScored(branch, tokens, score):
                self._to_all(events.BranchScored(at, branch.index, tokens, score))
            case e.BranchEnded(branch, status, tokens, answer, reason):
                self._to_all(events.BranchEnded(at, branch.index, status, tokens, answer, reason))
            case e.StandingChanged(finished, forced, leader, weights):
                self._to_all(events.VoteChanged(at, dict(finished), dict(forced), leader, weights))
            case _:
                pass

    def tell(self, event: events.Event) -> None:
        """Tell of ``event``."""
        if self._is_watched:
            self._to_all(event)

    def _at(self) -> float:
        return self.clock() - self._spec.began


class ToldBranch:
    """A running branch of a race that is watched; a ``TokenSink``."""

    __slots__ = ("_branch", "_events", "catch_up", "immediate")

    def __init__(self, branch: Branch, events: EventPublisher) -> None:
        self.immediate = True
        self.catch_up: Callable[[], None] | None = None
        self._branch = branch
        self._events = events

    def put(self, text: str, token_ids: Sequence[int], confidences: Sequence[float] = ()) -> None:
        branch = self._branch
        if branch.status is BranchStatus.RUNNING:
            branch.put(text, token_ids, confidences)
            self._events.progressed(branch.index, text, len(token_ids), forced=False)

    def put_all(
        self,
        texts: Sequence[str],
        token_ids: Sequence[Sequence[int]],
        confidences: Sequence[float] = (),
    ) -> None:
        branch = self._branch
        if branch.status is BranchStatus.RUNNING:
            branch.put_all(texts, token_ids, confidences)
            self._events.progressed_at_once(branch.index, texts, token_ids)


def _started(at: float, branch: Branch) -> events.BranchStarted:
    return events.BranchStarted(
        at,
        branch.index,
        branch.seed,
        branch.parent,
        branch.inherited_tokens,
        branch.inherited_characters if branch.parent is not None else None,
    )
