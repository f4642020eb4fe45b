"""Sentences that come again with other numbers: "there are 74 + 64 = 138 books".

Contexts of tokens find nothing there, since the numbers stand in them. A template's context is the
text with every number replaced by one unit. What follows it is a token, or a number; and a number
that is no result of a calculation was written before. So a number's continuation is a *pointer*:
the k-th last number of the text, or the number of the prompt that stands j places after the last
one used. Pointers are counted as tokens are (as codes below -1), under the template that they
followed, and a draft copies the number that its pointer means.

``digits`` (vocabulary,) int32 says what each token is: -1 no number, else a number for each string
of digits, plus ``BEGINS`` where a space comes first, which begins another number.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from .compiling import njit_kept
from .contexts import FIRST, SECOND, count, extend, find, trusted

BEGINS: Final = 1 << 24
#: Numbers of the text that a pointer can mean, the last first.
BACK: Final = 8
#: Numbers of the prompt that a pointer can mean: from one before the next one on.
AHEAD: Final = 6
#: Tokens that are searched for the last numbers.
RECENT: Final = 192
#: A continuation that is a number found nowhere before.
_NEW: Final = -1
#: The unit that stands for a number. A token's is the token itself.
_NUMBER: Final = -1000
#: Template contexts are hashed apart from those of tokens.
_APART: Final = np.uint64(0x7F4A7C15_5851F42D)


@njit
def _start_of(tokens: Any, last: Any, least: Any, digits: Any) -> Any:
    """Where the number begins whose last token is ``tokens[last]``; not before ``least``."""
    start = last
    while start > least and digits[tokens[start - 1]] >= 0 and digits[tokens[start]] < BEGINS:
        start -= 1
    return start


@njit_kept
def find_numbers(tokens: Any, least: Any, end: Any, digits: Any, spans: Any) -> int:
    """The numbers in ``tokens[least:end]``, the last first, as (start, end) into ``spans``."""
    found = 0
    position = end - 1
    while position >= least and found < spans.shape[0]:
        if digits[tokens[position]] >= 0:
            start = _start_of(tokens, position, least, digits)
            spans[found, 0] = start
            spans[found, 1] = position + 1
            found += 1
            position = start
        position -= 1
    return found


@njit
def _same(
    tokens: Any, start: Any, end: Any, others: Any, other: Any, last: Any, digits: Any
) -> Any:
    """Whether two numbers have the same digits; a space before either does not matter."""
    if end - start != last - other:
        return False
    for place in range(end - start):
        one, two = digits[tokens[start + place]], digits[others[other + place]]
        if one % BEGINS != two % BEGINS:
            return False
    return True


@njit
def _units(tokens: Any, end: Any, digits: Any, units: Any) -> Any:
    """The units before ``end``, the last first, into ``units``; returns how many there are."""
    found = 0
    position = end - 1
    while position >= 0 and found < units.shape[0]:
        units[found] = tokens[position]
        if digits[tokens[position]] >= 0:
            position = _start_of(tokens, position, 0, digits)
            units[found] = _NUMBER
        found += 1
        position -= 1
    return found


@njit
def _used(
    tokens: Any, spans: Any, found: Any, least: Any, prompt: Any, asked: Any, digits: Any
) -> Any:
    """The place in ``asked`` of the last number of the text (from ``least`` on) that is there."""
    for number in range(found):
        if spans[number, 0] < least:
            break
        for place in range(asked.shape[0] - 1, -1, -1):
            if _same(
                tokens, spans[number, 0], spans[number, 1],
                prompt, asked[place, 0], asked[place, 1], digits,
            ):  # fmt: skip
                return place
    return -1


@njit
def _meant(code: Any, spans: Any, found: Any, used: Any, asked: Any) -> Any:
    """(whether in the prompt, start, end) of the number that a pointer means; (…, 0, 0): none."""
    place = (-code - 2) >> 1
    if place < BACK:
        if place < found:
            return False, spans[place, 0], spans[place, 1]
    else:
        place = used + place - BACK
        if 0 <= place < asked.shape[0]:
            return True, asked[place, 0], asked[place, 1]
    return False, 0, 0


@njit
def _points_at(
    code: Any, tokens: Any, start: Any, end: Any, spans: Any, found: Any, used: Any, asked: Any,
    digits: Any,
) -> Any:  # fmt: skip
    """Whether the pointer ``code`` means the number ``tokens[start:end]``."""
    if code >= _NEW or ((-code - 2) & 1) != (1 if digits[tokens[start]] >= BEGINS else 0):
        return False
    _, first, last = _meant(code, spans, found, used, asked)
    return last > first and _same(tokens, start, end, tokens, first, last, digits)


@njit(nogil=True)
def learn_templates(
    table: Any, trust: Any, tokens: Any, start: Any, end: Any, prompt: Any, asked: Any,
    digits: Any, salts: Any, longest: Any, now: Any, spans: Any, units: Any,
) -> None:  # fmt: skip
    """Count ``tokens[start:end]`` as continuations of templates; a number when it has ended.

    Of several pointers that mean the number, an entry that knows one of them counts that one.

    Args:
        trust: (tiers, longest + 1, BUCKETS, 2).
        tokens: (length,) int32, the prompt included.
        prompt: the prompt's length.
        asked: (numbers, 2) spans of the prompt's numbers, in their order.
        salts: (tiers,) uint64.
        spans: (BACK, 2) scratch; units: (longest,) scratch.
    """
    for position in range(max(1, start), end):
        if digits[tokens[position]] >= 0:
            continue
        for number in range(2):
            at = position
            found, used, nearest = 0, -1, np.int32(_NEW)
            if number == 1:
                if digits[tokens[position - 1]] < 0:
                    break
                at = _start_of(tokens, position - 1, 0, digits)
                found = find_numbers(tokens, max(0, at - RECENT), at, digits, spans)
                used = _used(tokens, spans, found, prompt, tokens, asked, digits)
                spaced = 1 if digits[tokens[at]] >= BEGINS else 0
                for place in range(BACK + AHEAD):
                    code = np.int32(-2 - 2 * place - spaced)
                    if _points_at(code, tokens, at, position, spans, found, used, asked, digits):
                        nearest = code
                        break
            known = _units(tokens, at, digits, units)
            for tier in range(salts.shape[0]):
                context = salts[tier] ^ _APART
                for length in range(1, min(longest, known) + 1):
                    context = extend(context, units[length - 1])
                    chosen, way = find(table, context)
                    code = np.int32(tokens[position])
                    if number == 1:
                        code = nearest
                        if way >= 0 and nearest != _NEW:
                            for field in (SECOND, FIRST):
                                other = table[chosen, way, field]
                                if _points_at(
                                    other, tokens, at, position, spans, found, used, asked, digits
                                ):
                                    code = other
                    count(table, trust[tier, length], chosen, way, context, code, now)


@njit(nogil=True)
def next_of_template(
    table: Any, trust: Any, tokens: Any, end: Any, written: Any, prompt: Any, asked: Any,
    digits: Any, salts: Any, longest: Any, spans: Any, units: Any,
) -> Any:  # fmt: skip
    """The most trusted continuation of the template that ``tokens[:end]`` ends with.

    Args:
        tokens: the end of the text; what was generated begins at ``written`` (may be negative).
        prompt: (prompt_length,) int32, which the spans ``asked`` are of.

    Returns:
        The token or pointer (-1: none), its trust, and for a pointer whether its number is in the
        prompt, and the number's span.
    """
    best, likely = np.int32(-1), -1.0
    best_there, best_first, best_last = False, 0, 0
    known = _units(tokens, end, digits, units)
    found, used = -1, -1
    for tier in range(salts.shape[0]):
        context = salts[tier] ^ _APART
        for length in range(1, min(longest, known) + 1):
            context = extend(context, units[length - 1])
            chosen, way = find(table, context)
            if way < 0:
                break
            entry = table[chosen, way]
            share = trusted(trust[tier, length], entry)
            code = entry[FIRST]
            if share < likely or code == _NEW:
                continue
            there, first, last = False, 0, 0
            if code < _NEW:
                if found < 0:
                    found = find_numbers(tokens, max(0, end - RECENT), end, digits, spans)
                    used = _used(tokens, spans, found, written, prompt, asked, digits)
                there, first, last = _meant(code, spans, found, used, asked)
                if last <= first:
                    continue
            best, likely = code, share
            best_there, best_first, best_last = there, first, last
    return best, likely, best_there, best_first, best_last


@njit
def asks_for_space(code: Any) -> Any:
    """Whether the number that the pointer stands for begins with a space."""
    return ((-code - 2) & 1) == 1
