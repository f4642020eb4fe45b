"""The text of the branch in front as a stream tells it beside the reply: ``reasoning``.

Where the content is the whole reply, what the branch writes behind its thinking is a draft of that
reply, which would be told twice: only its thinking is told. What a model writes that marks no
thinking cannot be told from one whose thinking began in the prompt before it has ended, so all of
it is told, unless the request says ``stream_leader: false``. Of a model whose way to think is known
(``[thinking]``) the thinking alone is told, without its marks.
"""

from ...events.types import Event, RaceStarted
from ...thinking import END_OF_THINKING, ThinkingFormat, ThinkingReader
from ..runs.leader_stream import SEPARATOR, Reasoning
from .content import ReplyForm

#: Characters of the longest mark that ends a thinking.
_MAX_MARK = 64


class LiveReasoning:
    """What is told of the branches that are followed, one after another; one for each stream."""

    def __init__(self, form: ReplyForm) -> None:
        self._form = form
        self._tail = ""  # what was told last, in which a mark may have begun
        self._over = False  # whether the branch has ended its thinking
        self._thinking: ThinkingFormat | None = None
        self._reader: ThinkingReader | None = None  # of the branch that is followed

    def see(self, event: Event) -> None:
        """Hear of the race, before anything is told of it."""
        if isinstance(event, RaceStarted) and event.thinking is not None:
            self._thinking = event.thinking
            self._reader = ThinkingReader(event.thinking)

    def told(self, more: Reasoning) -> str:
        """What there is to tell of ``more``; empty: nothing."""
        if not self._form.stream_leader:
            return ""
        if self._form.raw:
            return more.text
        if self._reader is not None:
            return self._without_marks(more)
        if self._form.content != "reply":
            return more.text
        if more.text.startswith(SEPARATOR):
            self._tail, self._over = "", False
        if self._over:
            return ""
        text = self._tail + more.text
        if (end := END_OF_THINKING.search(text)) is None:
            told, self._tail = more.text, text[-_MAX_MARK:]
            return told
        self._over = True
        return text[len(self._tail) : end.end()]

    def _without_marks(self, more: Reasoning) -> str:
        assert self._thinking is not None
        assert self._reader is not None
        text, between = more.text, ""
        if more.behind is not None:
            self._reader = ThinkingReader(self._thinking)
            for _ in self._reader.feed(more.behind):
                pass
            if text.startswith(SEPARATOR):
                between, text = SEPARATOR, text.removeprefix(SEPARATOR)
        told = "".join(part.text for part in self._reader.feed(text) if self._tells(part.kind))
        return between + told

    def _tells(self, kind: str) -> bool:
        if self._form.content != "reply" or kind == "reasoning":
            return True
        # Where nobody knows whether the prompt has begun a thinking, it may be one.
        unknown = self._thinking is not None and self._thinking.position == "unknown"
        return kind == "unmarked" and unknown
