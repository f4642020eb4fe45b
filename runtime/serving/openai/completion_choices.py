"""The choices of ``/v1/completions``, and their log probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...engines.logprobs import TokenLogprob
from ..reply_bodies import CompletionChoice, FinishReason, Logprobs


def choice(
    text: str, index: int, reason: FinishReason | None, logprobs: Logprobs | None = None
) -> CompletionChoice:
    """A choice, or a piece of one."""
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}


@dataclass(slots=True)
class LogprobsWriter:
    """Writes the ``logprobs`` objects of one choice, piece by piece."""

    _offset: int = field(default=0, init=False)  # characters of the choice's text so far

    def write(self, tokens: Sequence[TokenLogprob]) -> Logprobs:
        """For the next tokens of the text; ``text_offset`` counts from where that begins."""
        offsets = list[int]()
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token.text)
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [
                dict(token.top) if token.logprob is not None else None for token in tokens
            ],
            "text_offset": offsets,
        }


def joined(before: CompletionChoice, piece: CompletionChoice) -> CompletionChoice:
    """Two pieces of a choice, one behind the other, as one."""
    logprobs, more = before["logprobs"], piece["logprobs"]
    if logprobs is not None and more is not None:
        logprobs = Logprobs(
            tokens=[*logprobs["tokens"], *more["tokens"]],
            token_logprobs=[*logprobs["token_logprobs"], *more["token_logprobs"]],
            top_logprobs=[*logprobs["top_logprobs"], *more["top_logprobs"]],
            text_offset=[*logprobs["text_offset"], *more["text_offset"]],
        )
    text = before["text"] + piece["text"]
    return choice(text, piece["index"], piece["finish_reason"], logprobs)
