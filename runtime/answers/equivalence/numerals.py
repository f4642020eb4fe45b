"""Numbers as notations of their own write them: in a base, as a residue class, as a time.

They are no sums and products of their digits and signs, so they are compared by what is written,
up to the spellings of one notation.
"""

import re
from typing import Final

from .rational import exact_number, spelled

# Small letters are digits where they cannot be a variable with an index, as in `2a_{12}`.
_BASED: Final = re.compile(
    r"(?P<bracket>\()?(?P<digits>-?0*(?:[0-9A-F]+|(?:(?(bracket)|(?=\d*[a-f][\da-f]))[0-9a-f]+))"
    r"(?:\.[0-9A-F]+)?)(?(bracket)\))"
    r"(?:_\{? ?\(?(?:base ?)?(?P<index>\d{1,2}|[a-z]+)\)?\}?"
    r"| ?\(?base ?(?P<word>\d{1,2}|[a-z]+)\)?)"
)
# As programs write them: `0x1F`, `0b101`.
_PREFIXED: Final = re.compile(r"(-?)0(?:[xX]([0-9A-Fa-f]+)|b ?([01]+)|o ?([0-7]+))")
_BASES: Final = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "twelve": "12", "sixteen": "16",
}  # fmt: skip
_CLOCK: Final = re.compile(r"0?(\d{1,4})((?::\d{1,4})+)(?: ([ap]m))?")
_MODULO: Final = re.compile(r"(?:[A-Za-z]\\equiv ?)?(.+?)(?:\\pmod\{(\w+)\}|\\mod ?(\w+))")


def numeral_key(form: str) -> str | None:
    """The key of a form in one of these notations; None: it is none of them."""
    if match := _CLOCK.fullmatch(form):
        return f"'{match[1]}{match[2]}{match[3] or ''}'"
    if match := _BASED.fullmatch(form):
        named = match["index"] or match["word"]
        base = named if named.isdigit() else _BASES.get(named)
        if base is not None:
            return _in_base(match["digits"], base)
    if match := _PREFIXED.fullmatch(form):
        base = next(
            base
            for base, digits in zip(("16", "2", "8"), match.groups()[1:], strict=True)
            if digits
        )
        return _in_base(match[1] + match[match.lastindex or 0], base)
    if match := _MODULO.fullmatch(form):
        return _residue(match[1], match[2] or match[3])
    return None


def _in_base(digits: str, base: str) -> str:
    sign = "-" if digits.startswith("-") else ""
    return f"'{sign}{digits.lstrip('-0').upper() or '0'}_{base}'"


def _residue(member: str, modulus: str) -> str:
    number = exact_number(member)
    if number is not None and modulus.isdecimal() and len(modulus) < 20 and int(modulus):
        number %= int(modulus)  # a residue class is the same by each of its members
    value = spelled(number) if number is not None else member
    return f"'{value} mod {modulus}'"
