"""What a client reads of a race as ``content``.

* Where a request names a kind of answer (``frontrunner.answers``, a response format), it is the
  answer. Else it is the winning branch's reply: all that it wrote outside its thinking.
* ``stop`` and the token limit of OpenAI's APIs are about what the client reads: they cut the
  content, and never the reasoning behind it. Where a limit, or a stop string that is only white
  space, would cut the answer off a reply, the answer is the content: whoever wants one line, or a
  few tokens, wants the answer in them.
* A call of a tool is no content.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from ...answers.combined import ToolCall, read_calls
from ...thinking import ThinkingFormat, without_thinking

Content = Literal["answer", "reply"]
#: Characters of a token, of which there are hardly fewer.
_USUAL: Final = 8
#: How often the tokens of a beginning are counted to find one that fits.
_GUESSES: Final = 16
Reason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class ReplyContent:
    """One reply as a client reads it."""

    content: str
    """Of calls their canonical JSON, which no API shows."""
    finish_reason: Reason
    calls: tuple[ToolCall, ...] = ()
    repeated: str = ""
    """What of the text the content repeats, before it was cut."""


@dataclass(frozen=True, slots=True)
class ReplyForm:
    """How the replies to one request are told.

    Attributes:
        content: what it is where a branch has answered.
        raw: whether the content is the text as it was written, spaces and thinking included.
        exact: whether the content is a reply wherever it is cut.
        stop: strings before which the content ends.
        max_tokens: of the content, at most.
        calls: whether an answer may be a call of a tool.
        stream_leader: whether a stream tells the text of the branch in front before the reply is
            decided.
        only_answers: whether a reply without an answer is an unfinished one.
        count: the tokens of a text.
    """

    content: Content = "reply"
    raw: bool = False
    exact: bool = False
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    calls: bool = False
    stream_leader: bool = True
    only_answers: bool = False
    count: Callable[[str], int] = len

    def tell(
        self,
        answer: str | None,
        text: str,
        forced_at: int | None,
        *,
        ended: bool,
        thinking: ThinkingFormat | None = None,
    ) -> ReplyContent:
        """
        Args:
            answer: of the branch; None: it gave none.
            text: all that it wrote.
            forced_at: where its forced answer begins in ``text``; None: it has none.
            ended: whether it came to its end by itself.
            thinking: how it marks its thinking; None: in one of the ways that are usual.
        """
        if self.calls and (calls := read_calls(answer)):
            return ReplyContent(answer or "", "tool_calls", tuple(calls))
        if self.raw:
            content, reason = self._cut(text)
            whole = ended or (answer is not None and forced_at is not None)
            return ReplyContent(content, reason or ("stop" if whole else "length"))
        if answer is None:
            said = _said(text, forced_at, thinking)
            content, reason = self._cut(said)
            unfinished = self.only_answers or not ended
            return ReplyContent(
                content, "length" if unfinished else reason or "stop", repeated=said
            )
        reply = _said(text, forced_at, thinking) if self.content == "reply" else ""
        content, reason = self._cut(reply or answer)
        if reply and reason is not None and not self.exact and self._loses(answer, reply, content):
            content, reason = self._cut(answer)
        elif reply and not ended and forced_at is None:
            reason = reason or "length"  # it had answered before it was cut
        return ReplyContent(content, reason or "stop", repeated=reply)

    def _cut(self, text: str) -> tuple[str, Literal["stop", "length"] | None]:
        """``text`` up to the first stop string, and to the token limit; and which of them cut it,
        None: neither."""
        reason: Literal["stop", "length"] | None = None
        ends = [at for stop in self.stop if (at := text.find(stop)) >= 0]
        if ends:
            text, reason = text[: min(ends)], "stop"
        short = text if self.max_tokens is None else _first(text, self.max_tokens, self.count)
        return short, reason if short == text else "length"

    def _loses(self, answer: str, reply: str, content: str) -> bool:
        """Whether a cut at no mark of the reply's own takes the answer off it."""
        at = reply[len(content) :]
        if any(stop.strip() and at.startswith(stop) for stop in self.stop):
            return False
        found = reply.rfind(answer)
        return found < 0 or found + len(answer) > len(content)


@lru_cache(maxsize=64)  # what is told is asked for again when its tokens are counted
def _first(text: str, most: int, count: Callable[[str], int]) -> str:
    """A beginning of ``text`` of at most so many tokens, and hardly fewer; all of it if it fits."""
    # A token is a byte at least, so that short texts need not be counted. Of a long one no more is
    # counted than about as much as is kept.
    if len(text) * 4 <= most:
        return text
    high = min(len(text), most * _USUAL)
    while (more := count(text[:high])) <= most:
        if high == len(text):
            return text
        high = min(len(text), 2 * high)
    low, fewer = 0, 0
    for _ in range(_GUESSES):
        if high - low < 2:
            break
        # Half a token more: what is looked for is where one too many begins.
        guess = low + (high - low) * (2 * (most - fewer) + 1) // (2 * (more - fewer))
        guess = min(max(guess, low + 1), high - 1)
        tokens = count(text[:guess])
        if tokens <= most:
            low, fewer = guess, tokens
        else:
            high, more = guess, tokens
    return text[:low]


def _said(text: str, forced_at: int | None, thinking: ThinkingFormat | None) -> str:
    """What a branch says outside its thinking; a forced answer ends that."""
    if thinking is not None:  # it was closed before the answer was asked for
        return thinking.read(text).content.strip()
    at = len(text) if forced_at is None else forced_at
    return (without_thinking(text[:at]) + text[at:]).strip()
