"""Messages to a client: what an API's encoder makes of a race, and a log keeps until it is sent."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ...common.json_bytes import json_bytes
from ...errors import FrontrunnerError
from ...result import Result
from .leader_stream import StreamItem

#: Joined text grows to this many bytes, so that one frame is never a large part of a log.
_JOINED_LIMIT = 16 << 10
#: What a frame takes in memory beside its text, about, in bytes: a message, and a piece of text.
_ENVELOPE, _TEXT_ENVELOPE = 448, 512


class Frame(Protocol):
    """One message to a client, not yet numbered."""

    @property
    def terminal(self) -> bool:
        """Whether it is the last one."""
        ...

    @property
    def size(self) -> int:
        """Bytes, about."""
        ...

    @property
    def event(self) -> str | None:
        """Its name in a server-sent event stream; None: it has none."""
        ...

    @property
    def key(self) -> str | None:
        """The text that it is a piece of; None: it is no piece of text.

        Pieces of different texts may change places, as long as nothing else lies between.
        """
        ...

    def merged(self, later: "Frame") -> "Frame | None":
        """This one and ``later``, which has the same ``key``, as one; None: they cannot be."""
        ...

    def encode(self, number: int) -> bytes:
        """The JSON object; ``number`` is its place in the run."""
        ...


class Encoder(Protocol):
    """One API's way to tell a race. Stateful: one for each run."""

    @property
    def tells_events(self) -> bool:
        """Whether it tells of more events than the first: else it is given no other ``Extra``."""
        ...

    def start(self, run_id: str) -> Iterable[Frame]:
        """What comes first."""
        ...

    def encode(self, item: StreamItem) -> Iterable[Frame]:
        """What ``item`` is in this API; the last frame for ``Decided`` is terminal."""
        ...

    async def before_decided(self, result: Result) -> None:
        """Do what takes long of telling a result; called before it is told."""
        ...

    def content(self, result: Result) -> str:
        """What is told as the ``Answer`` of a race that was decided; empty: nothing."""
        ...

    def fail(self, error: FrontrunnerError) -> Iterable[Frame]:
        """The end of a run that has no result (``RunCancelled``: it was told to end); the last
        frame is terminal."""
        ...


@dataclass(frozen=True, slots=True)
class JsonFrame:
    """A message that stands for itself: one JSON object."""

    payload: Mapping[str, Any]
    terminal: bool = False
    event: str | None = None
    numbered: str | None = None  # the field for its number; None: it does not say it
    size: int = _ENVELOPE

    @property
    def key(self) -> str | None:
        return None

    def merged(self, later: Frame) -> Frame | None:
        return None

    def encode(self, number: int) -> bytes:
        return json_bytes(self.payload if self.numbered is None else _with(self, number))


@dataclass(frozen=True, slots=True)
class TextFrame:
    """A piece of text; ``wrap(text, tokens)`` is the message around it."""

    text: str
    wrap: Callable[[str, int], Mapping[str, Any]]
    key: str
    tokens: int = 0
    event: str | None = None
    numbered: str | None = None

    @property
    def terminal(self) -> bool:
        return False

    @property
    def size(self) -> int:
        return _TEXT_ENVELOPE + 2 * len(self.text)

    @property
    def payload(self) -> Mapping[str, Any]:
        return self.wrap(self.text, self.tokens)

    def merged(self, later: Frame) -> Frame | None:
        if not isinstance(later, TextFrame):
            return None
        if 2 * (len(self.text) + len(later.text)) > _JOINED_LIMIT:
            return None
        return replace(self, text=self.text + later.text, tokens=self.tokens + later.tokens)

    def encode(self, number: int) -> bytes:
        return json_bytes(self.payload if self.numbered is None else _with(self, number))


def _with(frame: JsonFrame | TextFrame, number: int) -> dict[str, Any]:
    assert frame.numbered is not None
    return {**frame.payload, frame.numbered: number}
