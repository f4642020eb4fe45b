"""How a model marks its thinking: where it begins and ends in a text, and how one that was cut is
closed.

Two ways are known. Most families write their thinking between two marks, ``<think>`` and
``</think>`` say, and their chat template may write the first of them into the prompt. Models of
OpenAI's harmony format write messages on channels (``channels``): ``analysis`` is thought,
``final`` is for the reader, ``commentary`` holds calls of tools, which may stand on any channel
(https://cookbook.openai.com/articles/openai-harmony).

Text is whatever a model wrote: time is linear in its length.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal

#: Where a text goes on from: ``before`` any thinking, which may begin; ``inside`` of it, as where
#: the prompt has begun it; ``after`` it. ``unknown``: nobody could tell whether the prompt has.
Position = Literal["before", "inside", "after", "unknown"]
#: ``reasoning`` was thought and ``content`` said; ``unmarked`` is content unless the end of a
#: thinking follows, which then began in the prompt; ``call`` is a call of a tool on a channel.
PartKind = Literal["reasoning", "content", "unmarked", "call"]

#: Characters before a mark in which quotes are counted.
LOOKED_BACK: Final = 256
#: Characters of a mark that was cut in the middle from which on it is taken for one: a lone ``<``
#: is more often less than something.
_MIN_MARK_CHARS: Final = 2

# OpenAI's harmony format.
_MESSAGE: Final = "<|message|>"
MESSAGE_ENDS: Final = ("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")
CHANNEL: Final = re.compile(r"<\|channel\|>\s*(\w+)")
# Whom a message is for, in its header before or behind the channel.
_RECIPIENT: Final = re.compile(r"(?<![\w=])to=(?P<name>[\w.-]{1,128})")
_FUNCTIONS: Final = "functions."
# Those that are no functions of the caller's: people, and the tools that such models come with.
_NO_FUNCTIONS: Final = frozenset(
    {"user", "self", "assistant", "all", "python", "browser", "container"}
)
_BEGIN_FINAL: Final = "<|start|>assistant<|channel|>final<|message|>"
_ANALYSIS: Final = "<|channel|>analysis<|message|>"


@dataclass(frozen=True, slots=True)
class ThinkingFormat:
    """How one model's thinking is marked in the texts of one race."""

    start: str = "<think>"
    """What opens a thinking."""
    end: str = "</think>"
    """What ends it; with ``channels``, a message."""
    closing: str = "\n</think>\n\n"
    """What a thinking that was cut is continued with, up to where the reply begins; ``end`` is in
    it once. With ``channels``: up to the end of the header of the ``final`` message."""
    channels: bool = False
    """Whether it is harmony's."""
    turn_ends: tuple[str, ...] = ()
    """Tokens that end a turn and stand in its text."""
    position: Position = "before"
    """Where the prompt leaves the model."""

    def at(self, position: Position) -> "ThinkingFormat":
        """The same for a text that goes on from ``position``."""
        return self if position == self.position else replace(self, position=position)

    def read(self, text: str) -> "Said":
        """What ``text`` says, and what it only thinks."""
        return _read(self, text)

    def completion(self, text: str) -> str:
        """What is to be added to ``text``, wherever it was cut, for the reply to begin or go on:
        empty where it had begun.

        A mark that was cut in the middle is completed. Where nothing was said yet, the thinking is
        opened and closed at once, unless the prompt has had one that is over.
        """
        return _completion(self, text)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text, without marks."""

    kind: PartKind
    text: str
    retracts: bool = False
    """What was told as content or unmarked so far was thought as well: a thinking that had not
    begun in the text has ended."""


@dataclass(frozen=True, slots=True)
class Said:
    """A text in parts."""

    reasoning: str
    """What was thought, without marks."""
    content: str
    """What was said, without marks."""
    plain: str
    """All of both, in their order, without marks."""
    position: Position
    """Where its end stands."""


@lru_cache(maxsize=64)  # a result is told several times, and each branch's text is read again
def _read(form: ThinkingFormat, text: str) -> Said:
    reasoning, content, plain = list[str](), list[str](), list[str]()
    reader = ThinkingReader(form)
    for part in (*reader.feed(text), *reader.finish()):
        if part.retracts:
            reasoning += content
            content.clear()
        plain.append(part.text)
        if part.kind == "reasoning":
            reasoning.append(part.text)
        elif part.kind != "call":
            content.append(part.text)
    return Said("".join(reasoning), "".join(content), "".join(plain), reader.position)


@lru_cache(maxsize=64)  # a branch is asked what it goes on with, and then what its tokens are
def _completion(form: ThinkingFormat, text: str) -> str:
    reader = ThinkingReader(form)
    for _ in reader.feed(text):
        pass
    return reader.completion()


@lru_cache(maxsize=64)
def _marks(form: ThinkingFormat) -> tuple[re.Pattern[str], tuple[str, ...]]:
    own = (_MESSAGE, *MESSAGE_ENDS) if form.channels else (form.start, form.end)
    # Of two marks that begin alike the longer one is meant.
    marks = sorted({*own, *form.turn_ends} - {""}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, marks))), tuple(marks)


@dataclass(slots=True)
class ThinkingReader:
    """Reads a text that comes in pieces. A mark may come in pieces too: what could be the beginning
    of one is held back until it is known."""

    form: ThinkingFormat
    position: Position = field(init=False)
    _held: str = ""
    _line: str = ""  # the end of what was said, in which quotes are counted
    _blank: bool = True  # whether nothing but white space was written, marks aside
    _tail: str = ""  # the end of what was thought
    _after: str = ""  # the beginning of what followed the end of the thinking
    _ended: bool = False  # whether a thinking ended in this text
    _header: str | None = None  # of a message on a channel, while it is written
    _channel: PartKind = "unmarked"  # of the message that is written

    def __post_init__(self) -> None:
        self.position = self.form.position
        if self.form.channels:
            self._header = "" if self.position in ("before", "unknown") else None
            self._channel = "reasoning" if self.position == "inside" else "content"

    def feed(self, text: str) -> Iterator[Part]:
        """The parts that are certain, of all that came; consume them all."""
        pattern, marks = _marks(self.form)
        buffer, at = self._held + text, 0
        for match in pattern.finditer(buffer):
            yield from self._write(buffer[at : match.start()])
            yield from self._mark(match[0])
            at = match.end()
        rest = buffer[at:]
        held = _beginning_of_a_mark(rest, marks)
        self._held = rest[len(rest) - held :]
        yield from self._write(rest[: len(rest) - held])

    def finish(self) -> Iterator[Part]:
        """The text has ended: what was held back is no mark. A piece of one that could only be that
        is left out."""
        held, self._held = self._held, ""
        if len(held) >= _MIN_MARK_CHARS and (
            (self.position == "inside" and self.form.end.startswith(held))
            or (self.form.channels and (self._header is not None or held.startswith("<|")))
            or (self._opens() and self.form.start.startswith(held))
        ):
            return
        yield from self._write(held)

    def completion(self) -> str:
        """Of all that was fed; see ``ThinkingFormat.completion``."""
        return self._completion_of_message() if self.form.channels else self._completion()

    # ── marks ─────────────────────────────────────────────────────────────────────────────────

    def _write(self, text: str) -> Iterator[Part]:
        if not text:
            return
        if self._header is not None:
            if self._header.strip() or not text.strip():
                self._header += text
                return
            text, self._header = self._header + text, None  # no header at all
        if text.strip():
            self._blank = False
        if self.form.channels:
            yield Part(self._channel, text)
            return
        if self.position == "inside":
            self._tail = (self._tail + text)[-len(self.form.closing) :]
            yield Part("reasoning", text)
            return
        if self._ended and len(self._after) < len(self.form.closing):
            self._after += text
        self._line = (self._line + text)[-LOOKED_BACK:].rpartition("\n")[2]
        yield Part("content" if self.position == "after" else "unmarked", text)

    def _mark(self, mark: str) -> Iterator[Part]:
        if self.form.channels:
            self._mark_message(mark)
        elif self.position == "inside":
            if mark == self.form.end:
                self._end()
        elif mark not in (self.form.start, self.form.end):
            return  # the turn is over
        elif is_quoted(self._line):
            yield from self._write(mark)
        elif mark == self.form.start:
            self.position, self._blank = "inside", False
        else:
            self._end()
            yield Part("content", "", retracts=True)

    def _end(self) -> None:
        self.position, self._ended, self._blank = "after", True, False
        self._line = self._after = ""

    def _mark_message(self, mark: str) -> None:
        self._blank = False
        if mark != _MESSAGE:
            # What ends a message begins the header of the next one.
            self._header = mark if self._header is None else self._header + mark
            return
        header = self._header or ""
        self._header = None
        channel = CHANNEL.search(header)
        if calls_function(header):
            self._channel, self.position = "call", "inside"
        elif channel is None or channel[1] == "final":
            self._channel, self.position = "content", "after"
        else:
            built_in = channel[1] != "analysis" and _RECIPIENT.search(header) is not None
            self._channel, self.position = "call" if built_in else "reasoning", "inside"

    # ── where it was cut ──────────────────────────────────────────────────────────────────────

    def _opens(self) -> bool:
        """Whether a thinking may still begin, as nothing was said."""
        return self.position in ("before", "unknown") and self._blank

    def _completion(self) -> str:
        form, held = self.form, self._held
        lead, _, tail = form.closing.partition(form.end)
        if self.position == "after":
            # Of what stands between thinking and reply a part may be there already.
            begun = self._ended and self._after != tail and tail.startswith(self._after + held)
            return tail[len(self._after) :] if begun else ""
        if self.position == "before":
            if not self._opens():
                return ""
            start = form.start[len(held) :] if form.start.startswith(held) else form.start
            return f"{start}\n\n{form.end}{tail}"
        if len(held) >= _MIN_MARK_CHARS and form.end.startswith(held):
            return form.end[len(held) :] + tail
        # So may a part of what stands before the mark.
        there = 0 if held else _overlap(self._tail, lead)
        return form.closing[there:]

    def _completion_of_message(self) -> str:
        closing = self.form.end + _BEGIN_FINAL
        if self._header is None:
            if self.position == "inside" or self._channel in ("reasoning", "call"):
                began = len(self._held) >= _MIN_MARK_CHARS and closing.startswith(self._held)
                return closing[len(self._held) :] if began else closing
            return ""
        header = self._header + self._held
        for whole, then in (
            (closing, ""),
            (_BEGIN_FINAL, ""),
            (_BEGIN_FINAL.removeprefix("<|start|>assistant"), ""),
            (_ANALYSIS, closing),
            (f"{self.form.end}<|start|>assistant{_ANALYSIS}", closing),
        ):
            if whole.startswith(header):
                return whole[len(header) :] + then
        if header in ("<|return|>", "<|call|>", *self.form.turn_ends):
            return _BEGIN_FINAL
        return _MESSAGE + closing


def is_function(recipient: str) -> bool:
    """Whether a message of harmony's format that is for ``recipient`` calls a function."""
    if recipient.startswith(_FUNCTIONS):
        return recipient != _FUNCTIONS
    return recipient.partition(".")[0] not in _NO_FUNCTIONS


def calls_function(header: str) -> bool:
    """Whether ``header`` is of a message that calls a function. That its recipient says, whatever
    the channel: models make calls while they think, on ``analysis``, too."""
    recipient = _RECIPIENT.search(header)
    return recipient is not None and is_function(recipient["name"])


def is_quoted(line: str) -> bool:
    """Whether a string that began on ``line`` is still open at its end."""
    return (line.count('"') - line.count('\\"')) % 2 == 1


def _overlap(text: str, following: str) -> int:
    """The most characters that ``text`` ends and ``following`` begins with."""
    longest = min(len(text), len(following))
    return next((n for n in range(longest, 0, -1) if text.endswith(following[:n])), 0)


def _beginning_of_a_mark(text: str, marks: tuple[str, ...]) -> int:
    """Characters at the end of ``text`` that a mark may begin with, the most that there are."""
    longest = min(len(text), max(map(len, marks), default=1) - 1)
    for length in range(longest, 0, -1):
        end = text[len(text) - length :]
        if any(len(mark) > length and mark.startswith(end) for mark in marks):
            return length
    return 0
