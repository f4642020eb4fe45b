"""From a race's events to the messages of its run, at the pace of whoever reads them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import structlog

from ...events.types import BranchEnded, BranchExtended, BranchProgressed, Event, RaceDecided
from .frames import Encoder, Frame
from .leader_stream import LeaderStream
from .plain_text import plain_result, plain_text
from .replay_buffer import ReplayBuffer

_log = structlog.get_logger("frontrunner.serving")

#: Characters of progress that wait for a reader before they are told without one.
_MAX_WAITING: Final = 16 << 10


#: Events after which text may be told that was not: of another branch, or what was taken back.
_MOVING: Final = (BranchEnded, BranchExtended)


@dataclass(slots=True)
class _Pieces:
    """What a branch has written since it was told."""

    at: float  # of the last piece
    tokens: int
    texts: list[str]


class Telling:
    """Tells one race.

    The race hands its events in without waiting, and nothing is made of them there: that is done
    when a reader comes for more, or when much has come meanwhile. So however many pieces of text a
    turn of the event loop brings, the reader is woken once and gets those of a branch joined; and
    where branches and votes are not told, it is not woken for the text of a branch that is not
    followed. The decision, and what has come before it, waits for ``finish``. While the event loop
    lags, no progress but the first wakes anybody: readers look for it now and then
    (``Runs.note_lag``), so that what the loop has to give goes to the decisions.
    """

    def __init__(
        self,
        log: ReplayBuffer,
        encoder: Encoder,
        failed: Callable[[], None],
        lagging: Callable[[], bool] = lambda: False,
        begin: Callable[[], None] | None = None,
    ) -> None:
        """
        Args:
            log: where the messages go.
            encoder: says what they are.
            failed: called once, if the encoder fails; it must end the race.
            lagging: whether the event loop is late with what is due.
            begin: called before the first event.
        """
        self._begin = begin
        self._all = encoder.tells_events
        self._lagging = lagging
        self._log, self._encoder = log, encoder
        self._narrator = LeaderStream(encoder.content, extras=encoder.tells_events)
        self._failed: Callable[[], None] | None = failed
        self._events: list[Event] = []
        self._progress: dict[tuple[int, bool], _Pieces] = {}
        self._waiting = 0  # characters
        log.source = self.tell

    def push(self, event: Event) -> None:
        """Take in what happened."""
        if type(event) is BranchProgressed:
            self.push_progress(event.at, event.branch, event.text, event.tokens, event.forced)
            return
        if self._begin is not None:
            begin, self._begin = self._begin, None
            begin()
        # Joined progress came before this event and must be told before it.
        self._join()
        if type(event) is RaceDecided and (plain := plain_result(event.result)) is not event.result:
            event = replace(event, result=plain)
        self._events.append(event)
        if self._all or type(event) in _MOVING:
            self._log.notify()

    def push_progress(self, at: float, branch: int, text: str, tokens: int, forced: bool) -> None:
        """``push`` of a ``BranchProgressed``, which need not be made for it."""
        pieces = self._progress.get((branch, forced))
        if pieces is None:
            self._progress[branch, forced] = _Pieces(at, tokens, [text])
        else:
            pieces.at = at
            pieces.tokens += tokens
            pieces.texts.append(text)
        self._waiting += len(text)
        if self._waiting > _MAX_WAITING:
            self.tell()
        elif (self._all or self._narrator.hears(branch)) and not (
            self._narrator.begun and self._lagging()  # the first text is waited for
        ):
            self._log.notify()

    def tell(self) -> None:
        """Make messages of what has come, up to the decision."""
        self._join()
        events = self._events
        if not events or type(events[0]) is RaceDecided:
            return
        last = events.pop() if type(events[-1]) is RaceDecided else None
        self._events = [] if last is None else [last]
        self._waiting = 0
        try:
            self._log.extend(self._messages(events))
        except Exception:  # noqa: BLE001 - of one race: the others go on
            self._fail()

    def finish(self) -> None:
        """Tell the rest, the decision included. It raises what the encoder does."""
        self.tell()
        events, self._events = self._events, []
        self._log.extend(self._messages(events), final=True)

    def _messages(self, events: Iterable[Event]) -> Iterator[Frame]:
        tell, encode = self._narrator.tell, self._encoder.encode
        for event in events:
            for item in tell(event):
                yield from encode(item)

    def _join(self) -> None:
        """Make one event of what each branch has written."""
        if not self._progress:
            return
        joined = [
            BranchProgressed(p.at, branch, plain_text("".join(p.texts)), p.tokens, forced)
            for (branch, forced), p in self._progress.items()
        ]
        self._progress.clear()
        if len(joined) > 1:
            joined.sort(key=_moment)
        self._events += joined

    def _fail(self) -> None:
        _log.exception("frontrunner.telling_failed")
        failed, self._failed = self._failed, None
        if failed is not None:
            failed()


def _moment(event: BranchProgressed) -> float:
    return event.at
