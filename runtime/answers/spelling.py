r"""The spelling rules behind `canonicalize`: each maps a text to a simpler spelling of the same.

The rules follow the customs of the MATH benchmark's graders: units, currency, percent and degree
signs are dropped, and so is the unknown in `x = 5`. They know nothing of algebra. What they read is
hostile, so every pattern here takes linear time: no two repetitions can match the same characters.
"""

import re
import unicodedata
from collections.abc import Callable

_CHARACTERS = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\uff0d", "-"),
    **dict.fromkeys("\u2044\u2215", "/"),
    **dict.fromkeys("\u00b7\u22c5", "\\cdot "),
    "°": "",
    "×": "\\times ",
    "²": "^2",
    "³": "^3",
    "¼": "\\frac{1}{4}",
    "½": "\\frac{1}{2}",
    "¾": "\\frac{3}{4}",
    "π": "\\pi ",
    "∈": "\\in ",
    "√": "\\sqrt ",
    "∞": "\\infty ",
    "∪": "\\cup ",
    "≠": "\\ne ",
    "≤": "\\le ",
    "≥": "\\ge ",
}


def plain_characters(text: str) -> str:
    """Return `text` with usual digits, signs and spaces, and without what cannot be seen."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return "".join(map(_plain_character, text)).strip()


def _plain_character(character: str) -> str:
    plain = _CHARACTERS.get(character)
    if plain is not None:
        return plain
    if "\uff01" <= character <= "\uff5e":  # the full-width forms of ASCII
        return chr(ord(character) - 0xFEE0)
    match unicodedata.category(character):
        case "Nd":  # the digits of all scripts
            return str(unicodedata.decimal(character))
        case "Zs" | "Zl" | "Zp":
            return " "
        # Controls (NUL), format marks (right-to-left, zero width), lone surrogates. Nobody sees
        # them, so two answers that look the same would be different votes.
        case "Cc" | "Cf" | "Cs":
            return " " if character.isspace() else ""
    return character


def _replacing(pattern: str, replacement: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)
    return lambda text: compiled.sub(replacement, text)


# A macro's name ends where no letter follows.
_END = r"(?![A-Za-z])"
_TEXT_MACRO = r"\\(?:text(?:bf|it|rm)?|mbox|mathrm|mathbf|mathit|operatorname|boxed|fbox)\s*"
_UNIT_IN_TEXT = re.compile(
    rf"(?<=[\w)}}\]])\s*{_TEXT_MACRO}\{{\s*(?!or\b|and\b)[A-Za-z][A-Za-z ./]*\}}\s*"
    r"(?:\^\s*(?:\d|\{\d\})\s*)?$"
)
_UNIT_IN_WORDS = re.compile(
    r"([-+]?\d[\d.,/]*) +(?:[A-Za-z]{3,}|cm|mm|km|kg|mg|ml|ft|in|mi|lb|oz|hr)\.?"
)
_UNKNOWN = re.compile(rf"\s*[A-Za-z](?:_(?:\w+|\{{\w*\}}))?\s*(?:=|\\in{_END})\s*")
_RELATION = re.compile(rf"[=<>]|\\(?:leq?|geq?|lt|gt|neq?|in){_END}")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_CAPITALIZED = re.compile(r"(?=..)[A-Z][a-z]*(?: [A-Za-z]?[a-z]+)*")
_SPACES = re.compile(r" +")
_THREE_DIGITS = re.compile(r"\d{3}(?!\d)")


def _drop_unit(text: str) -> str:
    r"""Drop the unit of `5\text{ cm}^2` and of `5 apples`."""
    in_text = _UNIT_IN_TEXT.search(text)
    if in_text is not None and any(map(str.isdigit, text[: in_text.start()])):
        return text[: in_text.start()]
    in_words = _UNIT_IN_WORDS.fullmatch(text)
    return text if in_words is None else in_words[1]


def _drop_unknown(text: str) -> str:
    """Return what follows `x =`, unless it is more than one statement."""
    match = _UNKNOWN.match(text)
    if match is None or match.end() == len(text) or _RELATION.search(text, match.end()):
        return text
    return text[match.end() :]


def _drop_thousands(text: str) -> str:
    # Only where nothing else stands: `(1,234)` is a point.
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def _drop_capital(text: str) -> str:
    """Write `Yes` as `yes`, but leave `A`, `AB` and `X+y` alone."""
    return text.lower() if _CAPITALIZED.fullmatch(text) else text


def _drop_spaces(text: str) -> str:
    r"""Drop the spaces that separate nothing.

    They separate letters (words, and `\pi r`), digits, and the numbers of a list that would else
    look like one: `1, 234`.
    """

    def space(match: re.Match[str]) -> str:
        before, after = text[match.start() - 1], text[match.end()]
        listed = (
            before == ","
            and text[match.start() - 2].isdigit()
            and _THREE_DIGITS.match(text, match.end())
        )
        both = (before.isalpha() and after.isalpha()) or (before.isdigit() and after.isdigit())
        return " " if both or listed else ""

    text = text.strip()
    return _SPACES.sub(space, text)


RULES: tuple[Callable[[str], str], ...] = (
    # Delimiters, sizes and spaces that only typeset. The look-behind keeps the line break `\\`.
    _replacing(r"\\?\$", ""),
    _replacing(r"(?<!\\)\\[()\[\]]", ""),
    _replacing(rf"\\(?:left|right|[bB]igg?[lrm]?){_END}\.?", ""),
    _replacing(rf"\\(?:displaystyle|quad|qquad){_END}|(?<!\\)\\[;:> ]|~", " "),
    _replacing(r"(?<!\\)\\[!,](?=\s*[A-Za-z])", " "),
    _replacing(r"(?<!\\)\\[!,]", ""),
    _replacing(r"\{,\}", ","),
    # One spelling for each macro and its arguments.
    _replacing(rf"\\[dtc]frac{_END}", r"\\frac"),
    _replacing(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
    _replacing(r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
    _replacing(r"(\\frac\{[^{}]*\})\s*(\d)", r"\1{\2}"),
    _replacing(r"\\sqrt\s*(\d)", r"\\sqrt{\1}"),
    _replacing(rf"\\(le|ge|ne)q{_END}", r"\\\1"),
    _replacing(r"([\^_])\{(\d+|[A-Za-z])\}(?!\w)", r"\1\2"),
    # What is dropped by custom.
    _drop_unit,
    _replacing(_TEXT_MACRO + r"\{([^{}]*)\}", r" \1 "),
    _replacing(rf"\\?%|\^\s*(?:\\circ{_END}|\{{\s*\\circ\s*\}})|\\degree{_END}", ""),
    _drop_unknown,
    _replacing(r"^\s*\+(?=[\d.])", ""),
    lambda text: text.rstrip(".,; "),
    _replacing(r"(?<=[\d)}\]])[ ,]*(?:or|and) *(?=[-\d(\\{\[])", ","),
    _drop_spaces,
    _drop_thousands,
    _replacing(r"^\(([A-Za-z])\)$", r"\1"),
    _drop_capital,
)
