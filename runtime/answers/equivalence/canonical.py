r"""The canonical form of an answer: equal forms are the same vote.

Nearly all votes of a race are settled by it, on the event loop and without a worker: the same
answer in another spelling has the same form. What is left to algebra (`2\sqrt{2}` or `\sqrt{8}`),
and which answers are lists, ranges or words, is told by `vote_structure`.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from typing import Final

from . import quantities
from .answer_labels import LABELS
from .characters import plain_characters
from .macros import MACROS
from .rational import exact_number, spelled
from .rules import Units
from .sequences import group_thousands
from .spelling import Rule, drop_spaces, replacing, unwrap
from .typesetting import TYPESETTING
from .words import WORDS

# Longer answers are represented by a digest. Chosen, not measured; what it bounds is the time the
# rules take on hostile text (a few milliseconds) and the memory a remembered form takes.
MAX_RULED_CHARS: Final = 1024
# The rules undo each other's leftovers (`\text{\text{5}}`), so they run until nothing changes.
# An answer that still changes after this many passes was written to do so, and keeps its spelling.
MAX_PASSES: Final = 8
# Answers that come again and again, in one race and in all of them.
_REMEMBERED: Final = 4096
_PLAIN_INTEGER: Final = re.compile(r"-?[1-9]\d{0,17}|0")


@dataclass(frozen=True, slots=True)
class Canonical:
    """An answer in canonical spelling.

    Attributes:
        form: The spelling, at most `MAX_RULED_CHARS` characters. Equal forms are equal answers.
        number: The exact value if the form is a number. Equal numbers have equal forms.
    """

    form: str
    number: Fraction | None


def canonicalize(answer: str, units: Units = "drop") -> Canonical:
    """Return the canonical form of an answer; applying it to that form changes nothing.

    Args:
        answer: Any text, such as `extract_answer` returns.
        units: Whether the unit of a number is dropped or kept, in one spelling.
    """
    if _PLAIN_INTEGER.fullmatch(answer):  # most answers of most races
        return Canonical(answer, Fraction(int(answer)))
    if len(answer) > 2 * MAX_RULED_CHARS:
        return Canonical(_digest(answer), None)
    return _ruled(answer, units)


@lru_cache(_REMEMBERED)
def _ruled(answer: str, units: Units) -> Canonical:
    text = plain_characters(answer)
    if len(text) > MAX_RULED_CHARS:
        return Canonical(_digest(text), None)
    form = text
    for _ in range(MAX_PASSES):
        before = form
        for rule in _RULES[units]:
            form = rule(form)
        if form == before:
            break
        if len(form) > MAX_RULED_CHARS:
            return Canonical(text, None)
    else:
        return Canonical(text, None)
    number = exact_number(form)
    return Canonical(form if number is None else spelled(number), number)


def _digest(text: str) -> str:
    """Return a stand-in for a long text that none of the rules changes."""
    # "surrogatepass", because lone surrogates must not make the encoder fail.
    return f"#{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _rules(unit: Rule, signs: Rule) -> tuple[Rule, ...]:
    return (
        *TYPESETTING,
        replacing(r"(?i)(?<=[\s{\d])([ap])\.\s?m\b\.?", r"\1m"),
        lambda text: text.rstrip(".,;: "),
        quantities.drop_currency,
        signs,
        quantities.multiply,
        quantities.compound,
        quantities.join_units,
        quantities.unit_in_brackets,
        unit,
        *LABELS,
        unit,  # that of `speed = 15 m/s`
        unwrap,
        replacing(r" {2,}", " "),
        quantities.clock,
        *MACROS,
        group_thousands,
        replacing(r"^\s*\+(?=[\d.])", ""),
        drop_spaces,
        *WORDS,
    )


_RULES: Final[dict[Units, tuple[Rule, ...]]] = {
    "drop": _rules(quantities.drop_unit, quantities.drop_signs),
    "keep": _rules(quantities.keep_unit, quantities.keep_signs),
}
