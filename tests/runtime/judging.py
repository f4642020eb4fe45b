"""Engines that judge: what a scripted engine reads of a judge's prompt."""

from collections.abc import Callable, Sequence
from string import ascii_uppercase
from typing import Final

from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.engines.scripted import Script, ScriptedEngine

_ENCODE: Final = ScriptedEngine(Script([])).encode
(_REPLY,) = _ENCODE("Reply")
_LETTERS: Final = {
    token: letter for letter in ascii_uppercase for token in _ENCODE(f"{letter}: {letter}")
}


def letter_before(prompt: Sequence[int], word: str) -> str | None:
    """The letter of the reply in a judge's prompt that says ``word``; None: none does."""
    (wanted,) = _ENCODE(word)
    letter, before = None, 0
    for token in prompt:
        if before == _REPLY:
            letter = _LETTERS.get(token, letter)
        if token == wanted and letter is not None:
            return letter
        before = token
    return None


def saying_the_letter_of(word: str) -> Callable[[Generation], str]:
    """What a judge says who finds the reply best that says ``word``, or else the first one."""
    return lambda request: f" {letter_before(request.prompt, word) or 'A'}."
