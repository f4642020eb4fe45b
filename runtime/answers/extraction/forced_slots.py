r"""Slots for forced answers: the text that opens one, and what of it belongs to the answer.

A forced answer is read from what the model wrote behind the suffix, and never from what stood
before it: an unfinished text is full of numbers and letters that are no answer. Of the suffix
itself only what opens the slot is read with it (``\boxed{``, a code block), or, where a bare number
or letter is to follow, words that state it as the answer.
"""

import re
from typing import Final

#: Suffixes that open a slot for an answer of their kind.
BOX_SUFFIX: Final = "\n\nTime is up. The final answer is \\boxed{"
NUMBER_SUFFIX: Final = "\n\nTime is up. The final answer is "
CHOICE_SUFFIX: Final = "\n\nTime is up. The correct option is ("
JSON_SUFFIX: Final = "\n\nTime is up. The final answer in JSON:\n```json\n"

_STATEMENT: Final = "The answer is "
_BOX: Final = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")


def opens_box(suffix: str) -> bool:
    """Whether what follows ``suffix`` stands in a box."""
    return box_slot(suffix) != ""


def box_slot(suffix: str) -> str:
    r"""The end of ``suffix`` from the ``\boxed{`` that it leaves open; empty if it leaves none."""
    opened = [match.start() for match in _BOX.finditer(suffix)]
    if not opened:
        return ""
    last = suffix[opened[-1] :]
    return last if last.count("{") > last.count("}") else ""


def box_or_all(suffix: str) -> str:
    """The box that it opens; else all of it, which a pattern of the user's may read."""
    return box_slot(suffix) or suffix


def box_or_statement(suffix: str) -> str:
    """The box that it opens; else words that state what follows as the answer, with the bracket or
    the emphasis that it opens."""
    return box_slot(suffix) or _STATEMENT + suffix[len(suffix.rstrip("([*_")) :]


def all_of(suffix: str) -> str:
    """All of it: what opens a code block or data may stand anywhere in it."""
    return suffix
