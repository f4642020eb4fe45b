r"""Numbers that are read exactly, in all notations that answers use."""

import re
from fractions import Fraction
from typing import Final

# For numerators, denominators, and decimals with their places.
MAX_DIGITS: Final = 64
MAX_VALUE: Final = 10**MAX_DIGITS

_DECIMAL: Final = r"(?:\d+(?:\.\d*)?|\.\d+)"
_PLAIN: Final = re.compile(
    rf"(?P<sign>-?)(?:(?P<decimal>{_DECIMAL})"
    r"|(?:(?P<whole>\d+)(?= |\\) ?)?"  # a mixed number: `3\frac{1}{2}`, `1 1/4`
    r"(?P<macro>\\frac\{)?(?P<top_sign>-?)(?P<top>\d+)(?(macro)\}\{|/)"
    r"(?P<bottom_sign>-?)(?P<bottom>\d+)(?(macro)\}))"
)
_SCIENTIFIC: Final = re.compile(
    rf"(?P<sign>[-+]?)(?P<decimal>{_DECIMAL})"
    r"(?:[eE](?P<e>[-+]?\d{1,3})|(?:\\times|\\cdot|\*|x) ?10\^\{?(?P<ten>[-+]?\d{1,3})\}?)"
)
_POWER_OF_TEN: Final = re.compile(r"(?P<sign>-?)10\^\{?(?P<ten>-?\d{1,3})\}?")
# `0.1\overline{6}`, `0.(3)`, `0.\dot{3}`, and `0.1666\ldots`
_REPEATING: Final = re.compile(
    r"(?P<sign>-?)(?P<whole>\d*)\.(?P<first>\d*)"
    r"(?:\\(?:overline|bar|dot)\{?(?P<marked>\d+)\}?|\((?P<bracketed>\d+)\))"
)
_GOING_ON: Final = re.compile(r"(?P<sign>-?)(?P<whole>\d*)\.(?P<digits>\d{3,64})\\ldots")
_DOTTED: Final = re.compile(
    r"(?P<sign>-?)(?P<whole>\d*)\.(?P<first>\d*)\\dot\{?(?P<begin>\d)\}?(?P<middle>\d*)"
    r"\\dot\{?(?P<end>\d)\}?"
)
# Periods of at most so many digits are recognised, after at least so many digits of them.
_MAX_PERIOD: Final = 12
_DIGITS_SEEN: Final = 3


def exact_number(form: str) -> Fraction | None:
    """The value of a canonical form that is a number; None if it is none, or is too long."""
    if len(form) > 4 * MAX_DIGITS:  # conversions take quadratic time, and Python refuses long ones
        return None
    if match := _PLAIN.fullmatch(form):
        value = _plain(match)
    elif match := _SCIENTIFIC.fullmatch(form):
        value = _scientific(match)
    elif match := _POWER_OF_TEN.fullmatch(form):
        value = Fraction(10) ** int(match["ten"])
    elif match := _REPEATING.fullmatch(form):
        value = _repeating(match["whole"], match["first"], match["marked"] or match["bracketed"])
    elif match := _DOTTED.fullmatch(form):
        period = match["begin"] + match["middle"] + match["end"]
        value = _repeating(match["whole"], match["first"], period)
    elif match := _GOING_ON.fullmatch(form):
        value = _going_on(match["whole"], match["digits"])
    else:
        return None
    if value is None or max(value.numerator, value.denominator) >= MAX_VALUE:
        return None
    return -value if match["sign"] == "-" else value


def spelled(number: Fraction) -> str:
    """The one spelling that a number shares with all its equals."""
    return str(number)


def _plain(match: re.Match[str]) -> Fraction | None:
    part = match.groupdict("")
    if max(map(len, part.values())) > MAX_DIGITS + 1:
        return None
    if part["decimal"]:
        return Fraction(part["decimal"])
    if not int(part["bottom"]):
        return None
    value = Fraction(int(part["top"]), int(part["bottom"]))
    if len(part["top_sign"] + part["bottom_sign"]) == 1:
        value = -value
    if part["whole"] and (value < 0 or (value >= 1 and not part["macro"])):
        return None  # `11 7/6` is no mixed number
    return value + int(part["whole"] or 0)


def _scientific(match: re.Match[str]) -> Fraction | None:
    if len(match["decimal"]) > MAX_DIGITS:
        return None
    return Fraction(match["decimal"]) * Fraction(10) ** int(match["e"] or match["ten"])


def _repeating(whole: str, first: str, period: str) -> Fraction | None:
    if len(whole + first + period) > MAX_DIGITS:
        return None
    scale = 10 ** len(first)
    start = Fraction(int(whole + first or "0"), scale)
    return start + Fraction(int(period), (10 ** len(period) - 1) * scale)


def _going_on(whole: str, digits: str) -> Fraction | None:
    """The value of `0.1666…`, if its digits begin to repeat at once or after a few."""
    for length in range(1, _MAX_PERIOD + 1):
        for start in range(len(digits) - max(2 * length, _DIGITS_SEEN) + 1):
            tail = digits[start:]
            if all(tail[i] == tail[i % length] for i in range(len(tail))):
                return _repeating(whole, digits[:start], tail[:length])
    return None
