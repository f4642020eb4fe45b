r"""What the rules for the spelling of answers are made of.

A rule maps a text to a simpler spelling of the same; `canonicalize` repeats them until nothing
changes. They know how answers are typeset, and nothing of algebra. What they read is hostile, so
every pattern takes linear time: no two repetitions can match the same characters.
"""

import re
from collections.abc import Callable
from typing import Final

Rule = Callable[[str], str]

#: A macro's name ends where no letter follows.
END: Final = r"(?![A-Za-z])"
#: Macros that only change how letters look.
TEXT_MACRO: Final = (
    r"\\(?:text(?:bf|it|rm|sf|tt|up|sc|normal)?|mbox|hbox|mathrm|mathbf|mathit|mathsf|mathtt|mathcal"
    r"|mathop|mathord|mathbin|mathrel|mathinner|mathnormal|boldsymbol|bold|bm|pmb|operatorname|boxed|fbox|framebox|underline|uline|emph"
    r"|ensuremath|smash)\s*"
)
_TEXT: Final = re.compile(TEXT_MACRO + r"\{")
_NUMBER: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?![,\d])|-?\d+(?:\.\d+)?")
_SPACES: Final = re.compile(r" +")


def replacing(pattern: str, replacement: str) -> Rule:
    """The rule that replaces what matches `pattern`."""
    compiled = re.compile(pattern)
    return lambda text: compiled.sub(replacement, text)


def unwrap(text: str) -> str:
    r"""Replace macros that only change how letters look by what they hold: `\mathbf{…}`."""
    position, parts = 0, list[str]()
    while match := _TEXT.search(text, position):
        end = closing(text, match.end() - 1, "{", "}")
        if end is None:
            break
        parts += text[position : match.start()], " ", text[match.end() : end - 1], " "
        position = end
    return "".join(parts) + text[position:] if parts else text


def close_arguments(text: str, function: re.Pattern[str], opening: str, behind: str) -> str:
    """Put the argument of each `function`, a number or a parenthesis, between two others."""
    position, parts = 0, list[str]()
    while match := function.search(text, position):
        start = match.end()
        number = _NUMBER.match(text, start)
        end = number.end() if number else closing(text, start, "(", ")")
        if end is None:
            break
        argument = text[start:end] if number else text[start + 1 : end - 1]
        parts += text[position : match.start()], opening, argument, behind
        position = end
    return "".join(parts) + text[position:] if parts else text


def closing(text: str, start: int, opening: str, end: str) -> int | None:
    """Where the bracket that opens at `start` has closed."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == opening) - (text[position] == end)
        if depth == 0:
            return position + 1
    return None


def alone(text: str, position: int) -> bool:
    """Whether one letter stands there by itself."""
    beside = text[max(0, position - 1) : position] + text[position + 1 : position + 2]
    return text[position].isalpha() and not any(map(str.isalpha, beside))


def drop_spaces(text: str) -> str:
    r"""Drop the spaces that separate nothing.

    They separate words and numbers from each other, and macros from letters (`\pi r`).
    """

    def space(match: re.Match[str]) -> str:
        start, end = match.span()
        before, after = text[start - 1], text[end]
        if not (before.isalnum() and after.isalnum()):
            return ""
        if before.isdigit():  # `2 x` is `2x`, but `2 boys` are words
            return " " if after.isdigit() or not alone(text, end) else ""
        return "" if after.isdigit() and _ends_macro(text, start) else " "

    text = text.strip()
    return _SPACES.sub(space, text)


def _ends_macro(text: str, end: int) -> bool:
    start = end
    while start and text[start - 1].isalpha():
        start -= 1
    return start > 0 and text[start - 1] == "\\"
