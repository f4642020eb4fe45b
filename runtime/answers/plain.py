r"""Answers that stand in plain prose: the last number, the letter of a choice.

Both look into a box first (``\boxed{…}``), where models put an answer when they remember to. Text
is hostile: only a bounded tail is searched, by patterns in which no part can match where its
neighbour does, so that they take linear time.
"""

import re
from typing import Final

from .extraction import PATTERN_SCAN_CHARS, extract_answer

_NUMBER: Final = re.compile(
    r"(?<![\w.,)\]}])[-\u2212]?"  # a sign only where no operand stands before it
    r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+)?"
    r"|\d+(?:\.\d+)?"  # glued to a word or an operand: the digits without a sign
)
# A box with a letter: \boxed{C}, \boxed{\text{(C) 12}}, \boxed{c}.
_BOXED_CHOICE: Final = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mathbf)\s?\{)?\s?\(?([A-Ja-j])(?:[).:}\s].*)?", re.DOTALL
)
# "the answer is (C)", "Answer: C", "option C is correct". After a bare A or I no lower-case word
# may follow: "the answer is a matter of taste" is no choice, nor is "I think".
_SAID_CHOICE: Final = re.compile(
    r"(?:[Aa]nswer|ANSWER|[Oo]ption|[Cc]hoice)(?:\s{1,3}(?:is|must\sbe|should\sbe|would\sbe))?"
    r"(?:[\s:*_\"'$]{1,8}|(?=[(\[]))(?:[Oo]ption\s)?"
    r"(?:\(([A-J])\)|\[([A-J])\]|([B-HJ])(?![\w'])|([AI])(?![\w'])(?!\s[a-z]))"
)
# A line that is nothing but the letter: "(C)", "C.", "**C**".
_LINE_CHOICE: Final = re.compile(
    r"^[ \t]{0,8}[*_]{0,2}(?:\(([A-J])\)|([A-J])[.)]?)[*_]{0,2}[ \t]{0,8}$", re.M
)


def last_number(text: str) -> str | None:
    """The number in the last box, or else the last number of the text, without its commas."""
    boxed = extract_answer(text)
    if boxed is not None:
        return boxed
    found = None
    for match in _NUMBER.finditer(text[-PATTERN_SCAN_CHARS:]):
        found = match[0]
    return None if found is None else found.replace(",", "").replace("\u2212", "-")


def last_choice(text: str) -> str | None:
    """The letter A to J that the text chooses, in a box, in words, or alone on the last line."""
    boxed = extract_answer(text)
    if boxed is not None:
        match = _BOXED_CHOICE.fullmatch(boxed)
        return match[1].upper() if match else None
    tail = text[-PATTERN_SCAN_CHARS:]
    found: str | None = None
    for match in _SAID_CHOICE.finditer(tail):
        found = next(group for group in match.groups() if group)
    if found is None:
        for match in _LINE_CHOICE.finditer(tail):
            found = match[1] or match[2]
    return found
