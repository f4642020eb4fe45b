r"""A cheap canonical form of answers, and what may be asked of a parser at all.

Nearly all votes of a race are settled here, on the event loop and without a worker: the same
answer in another spelling has the same form, and numbers are compared exactly. What needs algebra
(`2\sqrt{2}` or `\sqrt{8}`) is for the worker.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256

from .spelling import RULES, plain_characters

# Longer answers are represented by a digest. Chosen, not measured; what it bounds is the time the
# rules take on hostile text (a few milliseconds) and the memory a remembered form takes.
MAX_RULED_CHARS = 1024
# The rules undo each other's leftovers (`\text{\text{5}}`), so they run until nothing changes.
# An answer that still changes after this many passes was written to do so, and keeps its spelling.
MAX_PASSES = 8
# For numerators, denominators, and decimals with their places.
MAX_NUMBER_DIGITS = 64

# What a parser may be given: `research/ecosystem.md` section 2. It keeps the plainest attacks from
# costing a worker, but it is no bound on a parser's work: only killing the worker is.
MAX_PARSED_CHARS = 512
MAX_PARSED_NESTING = 16
MAX_PARSED_DIGITS = 64
MAX_PARSED_POWERS = 4

_NUMBER = re.compile(
    r"(?P<sign>-?)(?:(?P<decimal>\d+(?:\.\d*)?|\.\d+)"
    r"|(?P<macro>\\frac\{)?(?P<top_sign>-?)(?P<top>\d+)(?(macro)\}\{|/)"
    r"(?P<bottom_sign>-?)(?P<bottom>\d+)(?(macro)\}))"
)
_LONG_LITERAL = re.compile(rf"[\d.]{{{MAX_PARSED_DIGITS + 1}}}")
_WORDS = re.compile(r"[^\W\d_]+(?:[ '.,:;-]+[^\W\d_]+)*[.!?]*")
_WORD = re.compile(r"[^\W\d_]{3}")


@dataclass(frozen=True, slots=True)
class Canonical:
    """An answer in canonical spelling.

    Attributes:
        form: The spelling, at most `MAX_RULED_CHARS` characters. Equal forms are equal answers.
        number: The exact value if the form is a number. Equal numbers have equal forms.
    """

    form: str
    number: Fraction | None


def canonicalize(answer: str) -> Canonical:
    """Return the canonical form of an answer; applying it to that form changes nothing.

    Args:
        answer: Any text, such as `extract_answer` returns.
    """
    if len(answer) > 2 * MAX_RULED_CHARS:
        return Canonical(_digest(answer), None)
    text = plain_characters(answer)
    if len(text) > MAX_RULED_CHARS:
        return Canonical(_digest(text), None)
    form = text
    for _ in range(MAX_PASSES):
        before = form
        for rule in RULES:
            form = rule(form)
        if form == before:
            break
        if len(form) > MAX_RULED_CHARS:
            return Canonical(text, None)
    else:
        return Canonical(text, None)
    number = _number(form)
    return Canonical(form if number is None else _spelled(number), number)


def needs_only_string_comparison(form: str) -> bool:
    """Return whether a canonical form must not, or need not, be given to a parser.

    True for what is too long, too deeply nested or too full of powers and factorials to be worth
    a worker, and for words: math-verify reads them as products of their letters, so that `listen`
    would equal `silent`.
    """
    return (
        not form
        or len(form) > MAX_PARSED_CHARS
        or form.startswith("#")
        or (_WORDS.fullmatch(form) is not None and _WORD.search(form) is not None)
        or form.count("^") + form.count("!") + form.count("**") > MAX_PARSED_POWERS
        or _LONG_LITERAL.search(form) is not None
        or _nesting(form) > MAX_PARSED_NESTING
    )


def _digest(text: str) -> str:
    """Return a stand-in for a long text that none of the rules changes."""
    # "surrogatepass", because lone surrogates must not make the encoder fail.
    return f"#{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _number(form: str) -> Fraction | None:
    match = _NUMBER.fullmatch(form)
    if match is None:
        return None
    part = match.groupdict("")
    # Before any conversion: it takes quadratic time, and Python refuses 4,300 digits.
    if max(map(len, part.values())) > MAX_NUMBER_DIGITS + 1:
        return None
    if part["decimal"]:
        value = Fraction(part["decimal"])
    elif bottom := int(part["bottom"]):
        value = Fraction(int(part["top"]), bottom)
    else:
        return None
    if max(value.numerator, value.denominator) >= 10**MAX_NUMBER_DIGITS:
        return None
    signs = part["sign"] + part["top_sign"] + part["bottom_sign"]
    return -value if len(signs) % 2 else value


def _spelled(number: Fraction) -> str:
    """Return the one spelling that a number shares with all its equals.

    A decimal where a short one exists, because math-verify compares a decimal with a root by
    rounding but a fraction with a root exactly, so that only `1.414214` is a square root of 2.
    It rounds to six places: for small numbers the fraction is the better question.
    """
    if abs(number) > Fraction(1, 100):
        for places in range(1, 17):
            scaled = abs(number) * 10**places
            if scaled.denominator == 1 and number.denominator > 1:
                digits = str(scaled.numerator).zfill(places + 1)
                if len(digits) > MAX_NUMBER_DIGITS:
                    break
                return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}"
    return str(number)


def _nesting(form: str) -> int:
    """Return how deep brackets of any kind are nested."""
    depth = deepest = 0
    for character in form:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    return deepest
