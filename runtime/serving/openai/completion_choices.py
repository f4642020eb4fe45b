"""The choices of ``/v1/completions``, and their log probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...engines.logprobs import TokenLogprob


def choice(
    text: str, index: int, reason: str | None, logprobs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A choice, or a piece of one."""
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}


@dataclass(slots=True)
class LogprobsWriter:
    """Writes the ``logprobs`` objects of one choice, piece by piece."""

    _offset: int = field(default=0, init=False)  # characters of the choice's text so far

    def write(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
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


def joined(before: Mapping[str, Any], piece: Mapping[str, Any]) -> dict[str, Any]:
    """Two pieces of a choice, one behind the other, as one."""
    logprobs = before["logprobs"]
    if logprobs is not None:
        logprobs = {key: [*told, *piece["logprobs"][key]] for key, told in logprobs.items()}
    text = before["text"] + piece["text"]
    return choice(text, piece["index"], piece["finish_reason"], logprobs)
