"""A race as the chunks of OpenAI's two completion APIs."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import Any, ClassVar

from ...errors import FrontrunnerError
from ...events.types import BranchProgressed, Event
from ...result import Result
from ..errors import error_object
from ..replies.completion_races import choices_of, count_ahead, usage
from ..replies.live_reasoning import LiveReasoning
from ..replies.race_events import extra_frame, extra_payload
from ..replies.usage import Account
from ..reply_bodies import Usage
from ..runs.frames import Frame, JsonFrame, TextFrame
from ..runs.leader_stream import Answer, Decided, Extra, Reasoning, StreamItem


class ChunkEncoder(ABC):
    """Chunks with ``choices``; while the race runs the leader's text goes out as
    ``reasoning_content`` of the first one."""

    #: What a chunk calls itself.
    object: ClassVar[str]
    #: What tells the texts of one race from those of others in the same stream.
    key = ""

    def __init__(
        self, model: str, *, choices: int, events: bool, include_usage: bool, account: Account
    ) -> None:
        self._model = model
        self._account = account
        self._live = LiveReasoning(account.form)
        self._unopened: dict[int, Mapping[str, Any]] = {}
        self._choices = choices
        self._events = events
        self._include_usage = include_usage
        self._created = int(time())
        self._id = ""

    @property
    def tells_events(self) -> bool:
        return self._events

    @abstractmethod
    def _first(self) -> Sequence[Mapping[str, Any]]:
        """What comes before the first text of each choice, in a chunk of its own. It is sent with
        that text and not before, so that the time to the first chunk is that to the first token."""

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
        self._unopened = {choice["index"]: choice for choice in self._first()}
        return []

    def encode(self, item: StreamItem) -> Iterable[Frame]:
        match item:
            case Reasoning():
                if not (text := self._live.told(item)):
                    return []
                frame = TextFrame(text, self._wrap_reasoning, key=f"{self.key}reasoning")
                return [*self._opening(0), frame]
            case Answer(text):
                frames = list(self._answered(text))
                return [*self._opening(0), *frames] if frames else []
            case Extra(event):
                self._live.see(event)
                return [self._extra(event)] if self._events else []
            case Decided(result):
                return self._last(result)

    async def before_decided(self, result: Result) -> None:
        await count_ahead(result, self._choices, self._account)

    def content(self, result: Result) -> str:
        return choices_of(result, 1, self._account.form)[0].content

    def fail(self, error: FrontrunnerError) -> Iterable[Frame]:
        return [JsonFrame({"error": error_object(error)}, terminal=True)]

    def _last(self, result: Result) -> list[Frame]:
        told = {"frontrunner": self._account.summary(result)}
        frames = list[Frame]()
        *others, last = self._decided(result)
        for choice in others:
            frames += [*self._opening(choice["index"]), JsonFrame(self._chunk(choice))]
        frames += self._opening(last["index"])
        whole = {**self._chunk(last), **told}
        frames.append(JsonFrame(whole, terminal=not self._include_usage))
        if self._include_usage:
            end = {**self._base(), "choices": [], "usage": self._usage(result), **told}
            frames.append(JsonFrame(end, terminal=True))
        return frames

    def _opening(self, index: int) -> list[Frame]:
        """What comes before the first text of a choice, if that was not sent yet."""
        choice = self._unopened.pop(index, None)
        return [] if choice is None else [JsonFrame(self._chunk(choice))]

    def _usage(self, result: Result) -> Usage:
        return usage([result], self._choices, self._account)

    def _extra(self, event: Event) -> Frame:
        """An event of the race, in a chunk without choices: clients that know nothing of them
        pass over it, as over the one with the usage."""
        if not isinstance(event, BranchProgressed):
            return JsonFrame(self._beside(extra_payload(event)))
        frame = extra_frame(event)
        assert isinstance(frame, TextFrame)
        return TextFrame(
            frame.text,
            lambda text, tokens: self._beside(frame.wrap(text, tokens)),
            key=f"{self.key}{frame.key}",
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
