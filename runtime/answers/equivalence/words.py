"""Answers that are words, in one spelling."""

import re
from typing import Final

from .spelling import Rule, replacing

# What is said in words and in signs.
_SIGNS: Final = {
    "no solution": r"\emptyset",
    "no solutions": r"\emptyset",
    "empty set": r"\emptyset",
    "the empty set": r"\emptyset",
    "all real numbers": r"(-\infty,\infty)",
    "all reals": r"(-\infty,\infty)",
    r"\mathbb{R}": r"(-\infty,\infty)",
    r"\Reals": r"(-\infty,\infty)",
}
# Two letters may be a product, such as `xy`; these are words.
_TWO_LETTERS: Final = """
no on in is it or of to at am pm up us we he me my by do go if an as be so ok hi
"""
_SHORT: Final = frozenset(_TWO_LETTERS.split())
_WORDS: Final = re.compile(r"[^\W\d_]+(?:[ '.,:;-]+[^\W\d_]+)*[.!?]*")
_LONG: Final = re.compile(r"(?<![A-Za-z\\{])[^\W\d_]{3}")
_MACRO: Final = re.compile(r"\\[A-Za-z]+\*?(?:\{[a-z]+\*?\})?")
_THREE: Final = re.compile(r"[^\W\d_]{3}")
_FOUR: Final = re.compile(r"[^\W\d_]{4}")
_TWO_RUNS: Final = re.compile(
    r"[^\W\d_]{2,} [^\W\d_]{2}|[^\W\d_]{2} \d|\d [^\W\d_]{2}|[^\W\d_]{3}\d"
)


def is_words(form: str) -> bool:
    """Whether a form is words, and not a product of letters: `listen` is not `silent`."""
    outside = _MACRO.sub(" ", form) if "\\" in form else form
    if _FOUR.search(outside) or _TWO_RUNS.search(outside):
        return True
    if _WORDS.fullmatch(form) is None:
        return False
    letters = re.sub(r"[^\w]", "", form)
    capitals = len(letters) > 1 and letters.isupper()
    return capitals or _LONG.search(form) is not None or form.lower() in _SHORT


def _fold(text: str) -> str:
    """Write `Yes`, `YES` and `New York` in small letters, but leave `A`, `AB` and `X+y` alone."""
    if "\\" in text:
        return text
    words = text.lower() in _SHORT or (is_words(text) and _THREE.search(text) is not None)
    return text.lower().rstrip(".!?") if words else text


def _signs(text: str) -> str:
    return _SIGNS.get(text, text)


WORDS: Final[tuple[Rule, ...]] = (
    replacing(r"^\(([A-Za-z])\)$", r"\1"),
    replacing(r"^(\d{1,9}) ?\^?\{? ?(?:st|nd|rd|th) ?\}?$", r"\1"),
    _fold,
    _signs,
)
