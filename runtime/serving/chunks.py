"""A race as the chunks of OpenAI's two completion APIs."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import Any, ClassVar

from ..errors import FrontrunnerError
from ..events import BranchProgressed, Event
from ..result import Result
from .errors import error_object
from .extras import extra_frame, extra_payload
from .frames import DataFrame, Frame, TextFrame
from .narration import Answer, Decided, Extra, Narrated, Reasoning
from .replies import usage
from .summary import summary


class ChunkEncoder(ABC):
    """Chunks with ``choices``; while the race runs the leader's text goes out as
    ``reasoning_content`` of the first one."""

    #: What a chunk calls itself.
    object: ClassVar[str]

    def __init__(self, model: str, *, choices: int, events: bool, include_usage: bool) -> None:
        self._model = model
        self._choices = choices
        self._events = events
        self._include_usage = include_usage
        self._created = int(time())
        self._id = ""

    @abstractmethod
    def _first(self) -> Sequence[Mapping[str, Any]]:
        """The choices with which the stream begins, each in a chunk of its own."""

    @abstractmethod
    def _reasoning(self, text: str) -> Mapping[str, Any]:
        """A choice with more of the leader's text."""

    @abstractmethod
    def _answered(self, text: str) -> Iterable[Frame]:
        """The frames of the answer, as soon as it is decided."""

    @abstractmethod
    def _decided(self, result: Result) -> Sequence[Mapping[str, Any]]:
        """The choices with which the stream ends, each in a chunk of its own."""

    def start(self, run_id: str) -> Iterable[Frame]:
        self._id = run_id
        return [DataFrame(self._chunk(choice)) for choice in self._first()]

    def encode(self, item: Narrated) -> Iterable[Frame]:
        match item:
            case Reasoning(text):
                return [TextFrame(text, self._wrap_reasoning, key="reasoning")]
            case Answer(text):
                return self._answered(text)
            case Extra(event):
                return [self._extra(event)] if self._events else []
            case Decided(result):
                return self._last(result)

    def fail(self, error: FrontrunnerError) -> Iterable[Frame]:
        return [DataFrame({"error": error_object(error)}, terminal=True)]

    def _last(self, result: Result) -> list[Frame]:
        told = {"frontrunner": summary(result)}
        *others, last = self._decided(result)
        frames: list[Frame] = [DataFrame(self._chunk(choice)) for choice in others]
        whole = {**self._chunk(last), **told}
        frames.append(DataFrame(whole, terminal=not self._include_usage))
        if self._include_usage:
            end = {**self._base(), "choices": [], "usage": usage(result), **told}
            frames.append(DataFrame(end, terminal=True))
        return frames

    def _extra(self, event: Event) -> Frame:
        """An event of the race, in a chunk without choices: clients that know nothing of them
        pass over it, as over the one with the usage."""
        if not isinstance(event, BranchProgressed):
            return DataFrame(self._beside(extra_payload(event)))
        frame = extra_frame(event)
        assert isinstance(frame, TextFrame)
        return TextFrame(
            frame.text,
            lambda text, tokens: self._beside(frame.wrap(text, tokens)),
            key=frame.key,
            tokens=frame.tokens,
        )

    def _beside(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._base(), "choices": [], "frontrunner": extra}

    def _wrap_reasoning(self, text: str, tokens: int) -> Mapping[str, Any]:
        return self._chunk(self._reasoning(text))

    def _chunk(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._base(), "choices": [choice]}

    def _base(self) -> dict[str, Any]:
        base: dict[str, Any] = {
            "id": self._id,
            "object": self.object,
            "created": self._created,
            "model": self._model,
        }
        if self._include_usage:
            base["usage"] = None
        return base
