"""Continuations by context, in bounded memory: the table and what can be done with it.

The table is (sets, WAYS, FIELDS) int32. A context is a hash of the last 1 … m units of a text
(tokens, or a template's units), begun with a salt that says whose text it is. Its entry counts the
most frequent continuation, a second one (a Misra-Gries counter, so that a new majority can take
over), and all of them together. A set holds ``WAYS`` contexts; the one not met for longest makes
room for a new one.

How far an entry can be trusted is learned, not assumed: ``trust`` (tiers, longest + 1, BUCKETS, 2)
counts how often entries of that tier, length and count ratio named the continuation that came
("secondary estimation" in the PPM family of text compressors).

numba compiles these functions for the types they are called with; none is annotated with more than
``Any`` for that reason.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from .compiling import njit_kept

WAYS: Final = 4
FIELDS: Final = 8
BUCKETS: Final = 36
CHECK, SEEN, TOTAL, FIRST, FIRST_COUNT, SECOND, SECOND_COUNT = range(7)
#: Counts are halved here, so that what an entry says can change.
_MOST: Final = 1 << 14
#: The same for the trust: about this many observations are remembered.
_OBSERVATIONS: Final = 4000.0
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(29)
_HIGH: Final = np.uint64(33)


@njit
def extend(context: Any, unit: Any) -> Any:
    """The hash of ``context`` with ``unit`` put before it."""
    mixed = (context ^ np.uint64(unit + 1)) * _SPREAD
    return mixed ^ (mixed >> _MIX)


@njit
def _check(context: Any) -> Any:
    return np.int32(context >> _HIGH) | np.int32(1)  # an empty entry's is 0


@njit
def find(table: Any, context: Any) -> Any:
    """(set, way) of ``context``; way -1: it is not there."""
    chosen = context & np.uint64(table.shape[0] - 1)
    check = _check(context)
    for way in range(WAYS):
        if table[chosen, way, CHECK] == check:
            return chosen, way
    return chosen, -1


@njit
def bucket(entry: Any) -> Any:
    """0 … BUCKETS - 1: how much an entry has seen, and how large its best continuation's share."""
    total = entry[TOTAL]
    if total <= 2:
        size = total - 1
    elif total <= 4:
        size = 2
    elif total <= 8:
        size = 3
    elif total <= 32:
        size = 4
    else:
        size = 5
    share = entry[FIRST_COUNT] / total
    level = 5
    if share < 0.25:
        level = 0
    elif share < 0.5:
        level = 1
    elif share < 0.75:
        level = 2
    elif share < 0.9:
        level = 3
    elif share < 0.999:
        level = 4
    return size * 6 + level


@njit
def trusted(trust: Any, entry: Any) -> Any:
    """The share of such entries, of this tier and length, that named what came."""
    seen = trust[bucket(entry)]
    return (seen[1] + 0.5) / (seen[0] + 1.5)


@njit
def observe(seen: Any, right: Any) -> None:
    """Count an observation: ``seen`` is (all, right), float."""
    seen[0] += 1.0
    if right:
        seen[1] += 1.0
    if seen[0] > _OBSERVATIONS:
        seen[0] *= 0.5
        seen[1] *= 0.5


@njit
def count(table: Any, trust: Any, chosen: Any, way: Any, context: Any, code: Any, now: Any) -> None:
    """Count ``code`` as a continuation of ``context``, which ``find`` has looked for.

    Args:
        trust: (BUCKETS, 2) of the context's tier and length.
        now: int32, grows from step to step; the entry's age.
    """
    if way >= 0:
        entry = table[chosen, way]
        observe(trust[bucket(entry)], entry[FIRST] == code)
        entry[SEEN] = now
        entry[TOTAL] += 1
        if entry[FIRST] == code:
            entry[FIRST_COUNT] += 1
        else:
            if entry[SECOND_COUNT] > 0 and entry[SECOND] == code:
                entry[SECOND_COUNT] += 1
            else:
                entry[SECOND_COUNT] -= 1
                if entry[SECOND_COUNT] <= 0:
                    entry[SECOND] = code
                    entry[SECOND_COUNT] = 1
            if entry[SECOND_COUNT] >= entry[FIRST_COUNT]:  # of equals, the later one
                first, first_count = entry[FIRST], entry[FIRST_COUNT]
                entry[FIRST], entry[FIRST_COUNT] = entry[SECOND], entry[SECOND_COUNT]
                entry[SECOND], entry[SECOND_COUNT] = first, first_count
        if entry[TOTAL] >= _MOST:
            entry[TOTAL] >>= 1
            entry[FIRST_COUNT] >>= 1
            entry[SECOND_COUNT] >>= 1
    else:
        oldest = 0
        for other in range(1, WAYS):
            if table[chosen, other, SEEN] < table[chosen, oldest, SEEN]:
                oldest = other
        entry = table[chosen, oldest]
        entry[CHECK] = _check(context)
        entry[SEEN] = now
        entry[TOTAL] = 1
        entry[FIRST] = code
        entry[FIRST_COUNT] = 1
        entry[SECOND_COUNT] = 0


@njit_kept
def learn_tokens(
    table: Any, trust: Any, tokens: Any, start: Any, end: Any, salts: Any, longest: Any, now: Any
) -> None:
    """Count ``tokens[start:end]`` as continuations of the tokens before each of them.

    Args:
        trust: (tiers, longest + 1, BUCKETS, 2).
        tokens: (length,) int32.
        salts: (tiers,) uint64.
    """
    for position in range(max(1, start), end):
        for tier in range(salts.shape[0]):
            context = salts[tier]
            for length in range(1, min(longest, position) + 1):
                context = extend(context, tokens[position - length])
                chosen, way = find(table, context)
                count(table, trust[tier, length], chosen, way, context, tokens[position], now)


@njit(nogil=True)
def next_token(table: Any, trust: Any, tokens: Any, end: Any, salts: Any, longest: Any) -> Any:
    """The most trusted continuation of ``tokens[:end]`` and its trust; -1 if there is none.

    Of equally trusted contexts the longest decides, then the tier that comes last.
    """
    best, likely = np.int32(-1), -1.0
    for tier in range(salts.shape[0]):
        context = salts[tier]
        for length in range(1, min(longest, end) + 1):
            context = extend(context, tokens[end - length])
            chosen, way = find(table, context)
            if way < 0:
                break
            entry = table[chosen, way]
            share = trusted(trust[tier, length], entry)
            if share >= likely:
                best, likely = entry[FIRST], share
    return best, likely
