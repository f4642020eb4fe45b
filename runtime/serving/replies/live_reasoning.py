"""The text of the branch in front as a stream tells it beside the reply: ``reasoning``.

Where the content is the whole reply, what the branch writes behind its thinking is a draft of that
reply, which would be told twice: only its thinking is told. What a model writes that marks no
thinking cannot be told from one whose thinking began in the prompt before it has ended, so all of
it is told, unless the request says ``stream_leader: false``.
"""

from ...answers.extraction.thinking import END_OF_THINKING
from ..runs.leader_stream import SWITCH, Reasoning
from .content import ReplyForm

#: Characters of the longest mark that ends a thinking.
_MAX_MARK = 64


class LiveReasoning:
    """What is told of the branches that are followed, one after another; one for each stream."""

    def __init__(self, form: ReplyForm) -> None:
        self._form = form
        self._tail = ""  # what was told last, in which a mark may have begun
        self._over = False  # whether the branch has ended its thinking

    def told(self, more: Reasoning) -> str:
        """What there is to tell of ``more``; empty: nothing."""
        if not self._form.stream_leader:
            return ""
        if self._form.raw or self._form.content != "reply":
            return more.text
        if more.text.startswith(SWITCH):
            self._tail, self._over = "", False
        if self._over:
            return ""
        text = self._tail + more.text
        if (end := END_OF_THINKING.search(text)) is None:
            told, self._tail = more.text, text[-_MAX_MARK:]
            return told
        self._over = True
        return text[len(self._tail) : end.end()]
