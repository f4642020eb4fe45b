"""Corrects a fault of vLLM's streams: a prompt that ends within a character is told to the client.

A character that is rare has no token of its own: its bytes are spread over two to four. A prompt
may end between them: that of a branch that goes on from another's tokens, or token ids that a
client cut where it liked. vLLM (0.25 to 0.33, issue 48853) starts its detokenizer with the prompt,
which takes what it has read for known only where that ends with a whole character. Else the first
text that is generated comes with all of the prompt before it.

Here the detokenizer starts with the prompt up to its last whole character, and then reads the rest
token by token: the first text is the character that the branch completes.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final

#: What decoders write for bytes that are no character, or not yet.
_BROKEN: Final = "\ufffd"
#: Tokens of a prompt's end in which a whole character is looked for: an incomplete one has at most
#: three bytes, and what is longer is no text.
_UNFINISHED: Final = 8
#: Tokens before an end that are decoded with it: where they begin may be within a character too.
_CONTEXT: Final = 8


def correct_prompt_ends() -> None:
    """Put the correction in place, in this process. Safe to call twice."""
    try:
        from vllm.v1.engine import detokenizer
    except ImportError:
        return  # another vLLM: nothing known to correct
    fast = getattr(detokenizer, "FastIncrementalDetokenizer", None)
    if fast is None or getattr(fast.__init__, "corrected", False):
        return
    begin = fast.__init__

    @wraps(begin)
    def begin_within_a_character(self: Any, tokenizer: Any, request: Any) -> None:
        begin(self, tokenizer, request)
        if hasattr(self, "stream"):
            skip = request.sampling_params.skip_special_tokens
            stream = stream_after(self.tokenizer, request.prompt_token_ids or (), skip)
            self.stream = stream if stream is not None else self.stream

    begin_within_a_character.corrected = True  # type: ignore[attr-defined]
    fast.__init__ = begin_within_a_character


def stream_after(tokenizer: Any, prompt: Sequence[int], skip_special_tokens: bool) -> Any:
    """A decoding stream that goes on where a prompt ends within a character.

    Args:
        tokenizer: of the ``tokenizers`` library.
        prompt: (num_tokens,)
        skip_special_tokens: whether special tokens are no text.

    Returns:
        A ``tokenizers.decoders.DecodeStream``; None: the prompt ends with a whole character.
    """
    from tokenizers.decoders import DecodeStream

    def decode(ids: Sequence[int]) -> str:
        return tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)

    whole = whole_characters(decode, prompt)
    if whole == len(prompt):
        return None
    stream = DecodeStream(ids=list(prompt[:whole]), skip_special_tokens=skip_special_tokens)
    for token in prompt[whole:] if whole else ():
        stream.step(tokenizer, token)
    return stream


def whole_characters(decode: Callable[[Sequence[int]], str], prompt: Sequence[int]) -> int:
    """How many of a prompt's tokens come before the character within which it ends; all of them if
    it ends with a whole one, and 0 if what it ends with is no text."""
    for end in range(len(prompt), max(-1, len(prompt) - 1 - _UNFINISHED), -1):
        if not decode(prompt[max(0, end - _CONTEXT) : end]).endswith(_BROKEN):
            return end
    return 0
