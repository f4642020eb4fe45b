"""Word problems of two steps, with small numbers: what small pretrained models solve now and then.

A problem is one of twelve kinds with a name, a thing and three numbers, all drawn by a seed. The
splits are disjoint: a problem's split is a hash of its kind and numbers.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Split = Literal["select", "test"]

_NAMES: Final = (
    "Anna", "Ben", "Carla", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas",
    "Karin", "Leo", "Maria", "Nils", "Olga", "Paul", "Rosa", "Simon", "Tina", "Viktor",
)  # fmt: skip
_THINGS: Final = (
    "apples", "pencils", "stamps", "marbles", "cookies", "books", "coins", "flowers",
    "stickers", "eggs", "cards", "buttons",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WordProblem:
    """A question and its answer, a whole number."""

    question: str
    answer: int
    split: Split


@dataclass(frozen=True, slots=True)
class _Kind:
    text: str  # of {name}, {thing}, {a}, {b}, {c}
    answer: Callable[[int, int, int], int]
    ranges: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


_SMALL: Final = ((3, 20), (2, 12), (2, 9))
_KINDS: Final = (
    _Kind(
        "{name} has {a} {thing} and buys {b} more. Then {name} gives away {c}. "
        "How many {thing} does {name} have now?",
        lambda a, b, c: a + b - c,
        _SMALL,
    ),
    _Kind(
        "{name} finds {a} {thing} on Monday, {b} on Tuesday and {c} on Wednesday. "
        "How many {thing} did {name} find in all?",
        lambda a, b, c: a + b + c,
        _SMALL,
    ),
    _Kind(
        "There are {a} boxes with {b} {thing} each. {name} takes out {c} {thing}. "
        "How many {thing} are left in the boxes?",
        lambda a, b, c: a * b - c,
        ((2, 6), (4, 10), (2, 7)),
    ),
    _Kind(
        "{name} buys {a} bags with {b} {thing} in each, and has {c} {thing} at home. "
        "How many {thing} does {name} have together?",
        lambda a, b, c: a * b + c,
        ((2, 6), (3, 9), (2, 12)),
    ),
    _Kind(
        "{name} had some {thing}. After giving {a} to a friend and {b} to a sister, {c} are left. "
        "How many {thing} did {name} have at first?",
        lambda a, b, c: a + b + c,
        _SMALL,
    ),
    _Kind(
        "{a} children share a basket. Each child gets {b} {thing} and {c} {thing} are left over. "
        "How many {thing} were in the basket?",
        lambda a, b, c: a * b + c,
        ((2, 7), (2, 8), (1, 6)),
    ),
    _Kind(
        "{name} earns {a} dollars an hour and works {b} hours. Then {name} spends {c} dollars. "
        "How many dollars are left?",
        lambda a, b, c: a * b - c,
        ((5, 12), (2, 6), (2, 9)),
    ),
    _Kind(
        "A shelf holds {a} {thing}. {name} adds {b} and then adds {c} more. "
        "How many {thing} does the shelf hold now?",
        lambda a, b, c: a + b + c,
        _SMALL,
    ),
    _Kind(
        "{name} has {a} {thing}. A friend had {b} more than {name}, but lost {c} of them. "
        "How many {thing} do both have together?",
        lambda a, b, c: 2 * a + b - c,
        ((5, 15), (2, 9), (1, 4)),
    ),
    _Kind(
        "A ticket costs {a} dollars and a drink costs {b} dollars. {name} buys one ticket and {c} "
        "drinks. How many dollars does {name} pay?",
        lambda a, b, c: a + b * c,
        ((4, 15), (2, 5), (2, 5)),
    ),
    _Kind(
        "{name} reads {a} pages a day for {b} days, and {c} pages on the day after. "
        "How many pages did {name} read?",
        lambda a, b, c: a * b + c,
        ((4, 12), (2, 6), (3, 12)),
    ),
    _Kind(
        "A bus has {a} passengers. At the first stop {b} get on, at the second stop {c} get off. "
        "How many passengers are on the bus?",
        lambda a, b, c: a + b - c,
        ((8, 25), (2, 12), (2, 8)),
    ),
)


def _split(kind: int, numbers: tuple[int, int, int]) -> Split:
    key = f"{kind}|{numbers}".encode()
    return "select" if hashlib.blake2b(key, digest_size=4).digest()[0] % 2 else "test"


def word_problems(split: Split, count: int, seed: int = 0) -> list[WordProblem]:
    """``count`` problems of ``split``, none with the arithmetic of another; the same for a seed."""
    rng = random.Random(f"{split}/{seed}")
    made: dict[tuple[int, tuple[int, int, int]], WordProblem] = {}
    while len(made) < count:
        number = len(made) % len(_KINDS)
        kind = _KINDS[number]
        a, b, c = (rng.randint(*limits) for limits in kind.ranges)
        known = (number, (a, b, c)) in made
        if known or kind.answer(a, b, c) < 1 or _split(number, (a, b, c)) != split:
            continue
        text = kind.text.format(name=rng.choice(_NAMES), thing=rng.choice(_THINGS), a=a, b=b, c=c)
        made[number, (a, b, c)] = WordProblem(text, kind.answer(a, b, c), split)
    return list(made.values())
