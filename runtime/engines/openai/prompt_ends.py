"""How prompts end that an endpoint makes of conversations: its chat template may open the model's
thinking there, and the ids of such a prompt (``placeholder_ids``) do not say."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...config import ThinkingSettings
from ...errors import EngineError
from .http import EndpointClient
from .placeholder_ids import Conversation, RawText, Results, read_parts
from .tokens import RemoteTokenizer
from .wire import ReasoningMarks

#: Tokens at the end of a prompt that are looked at, and characters.
_TOKENS: Final = 16
_CHARACTERS: Final = 64
_ANALYSIS: Final = "<|channel|>analysis<|message|>"
_FINAL: Final = "<|end|><|start|>assistant<|channel|>final<|message|>"


class PromptEnds:
    """The ends of one endpoint's prompts, and the marks that its answers are to have."""

    def __init__(self, thinking: ThinkingSettings) -> None:
        self.thinking = thinking
        self._end: str | None = None  # of a conversation, as the template writes it
        self._arguments: Mapping[str, Any] = {}  # of the template, with which it does

    async def learn(
        self, client: EndpointClient, model: str, probe: Sequence[int], remote: RemoteTokenizer
    ) -> None:
        """Ask the endpoint how conversations end, by its ``/tokenize`` and ``/detokenize``; one
        that does not say leaves it unknown.

        Args:
            probe: the ids that stand for a conversation.
        """
        parts = read_parts(probe)
        if not parts or not isinstance(parts[-1], Conversation):
            return
        try:
            ids = await remote.ids(parts)
            body = {"model": model, "tokens": list(ids[-_TOKENS:])}
            answer = await client.post("/detokenize", body)
        except EngineError:
            return
        said = answer.get("prompt") if isinstance(answer, Mapping) else None
        if isinstance(said, str):
            self._end, self._arguments = said[-_CHARACTERS:], parts[-1].arguments

    def marks(self) -> ReasoningMarks | None:
        """The marks for one answer; None: they are not known."""
        thinking = self.thinking
        if thinking.channels:
            return ReasoningMarks(_ANALYSIS, _FINAL)
        if thinking.start is None or thinking.end is None:
            return None
        return ReasoningMarks(thinking.start, thinking.end)

    def of(self, prompt: Sequence[int]) -> str | None:
        """See ``SupportsPromptEnds``."""
        end = read_parts(prompt[-1:])
        if end and isinstance(end[0], tuple):
            return ""  # tokens of our own tokenizer, which were compared as they are
        if not (parts := read_parts(prompt)):
            return ""
        last = parts[-1]
        if isinstance(last, Results):
            last = last.answered
        if isinstance(last, Conversation):
            return self._end if last.arguments == self._arguments else None
        if isinstance(last, tuple):
            return ""
        return (last.text if isinstance(last, RawText) else last)[-_CHARACTERS:]
