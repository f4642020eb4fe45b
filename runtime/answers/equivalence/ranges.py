"""Ranges of numbers, and what they are together."""

from collections.abc import Sequence
from fractions import Fraction
from math import inf
from typing import Final

from .nodes import Items, Leaf, Node
from .rational import exact_number, spelled

ALL_BUT: Final = "all but{"
UNION: Final = "union{"
_SETS: Final = ("{", UNION)
LEFT_OPEN: Final = Leaf("-oo")
RIGHT_OPEN: Final = Leaf("oo")


def interval(low: Node | None, high: Node | None, open_ended: bool) -> Items:
    """A range that is not bounded on one side."""
    opening = "(" if open_ended or low is None else "["
    closing = ")" if open_ended or high is None else "]"
    ends = (LEFT_OPEN if low is None else low, RIGHT_OPEN if high is None else high)
    return Items(opening, ends, closing, ordered=True)


def without(values: Sequence[Node]) -> Items:
    """All numbers but some."""
    return Items(ALL_BUT, tuple(values), "}", ordered=False, distinct=True)


# A place on the line of numbers: just before a number (0), or just behind it (1).
_Place = tuple[Fraction | float, int]


def merged(parts: Sequence[Node]) -> list[Node] | None:
    """The fewest ranges and single numbers that are together what ``parts`` are: (1,2] and (2,3)
    are (1,3). None: an end is no number."""
    spans = _spans(parts)
    return None if spans is None else [_range_of(*span) for span in spans]


def difference(parts: Sequence[Node], holes: Sequence[Node]) -> list[Node] | None:
    """What ``parts`` are without ``holes``: (1,3) without 2 is (1,2) and (2,3). None: an end is no
    number, or nothing is left."""
    spans, cuts = _spans(parts), _spans(holes)
    if spans is None or cuts is None:
        return None
    for cut_begin, cut_end in cuts:
        pieces = [
            piece
            for begin, end in spans
            for piece in ((begin, min(end, cut_begin)), (max(begin, cut_end), end))
        ]
        spans = [(begin, end) for begin, end in pieces if begin < end]
    return [_range_of(*span) for span in spans] or None


def _spans(parts: Sequence[Node]) -> list[tuple[_Place, _Place]] | None:
    spans: list[tuple[_Place, _Place]] = []
    for part in parts:
        items = part.items if isinstance(part, Items) and part.opening in _SETS else (part,)
        for found in map(_span, items):
            if found is None:
                return None
            spans.append(found)
    joined: list[tuple[_Place, _Place]] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def _span(node: Node) -> tuple[_Place, _Place] | None:
    """From where to where a range or a number reaches; None: it is neither, or empty."""
    match node:
        case Leaf(key=key):
            number = exact_number(key)
            return None if number is None else ((number, 0), (number, 1))
        case Items("(" | "[", (Leaf() as low, Leaf() as high), ")" | "]"):
            begin = -inf if low == LEFT_OPEN else exact_number(low.key)
            end = inf if high == RIGHT_OPEN else exact_number(high.key)
            if begin is None or end is None:
                return None
            span = (begin, int(node.opening == "(")), (end, int(node.closing == "]"))
            return span if span[0] < span[1] else None
        case _:
            return None


def _range_of(begin: _Place, end: _Place) -> Node:
    if begin[0] == end[0]:
        return _end(begin[0])
    opening, closing = "[("[begin[1]], ")]"[end[1]]
    return Items(opening, (_end(begin[0]), _end(end[0])), closing, ordered=True)


def _end(value: Fraction | float) -> Leaf:
    if isinstance(value, Fraction):
        return Leaf(spelled(value))
    return RIGHT_OPEN if value > 0 else LEFT_OPEN


def gaps(parts: Sequence[Node]) -> list[Node] | None:
    r"""What open ranges leave out where they leave out nothing but single numbers: 2 of
    `(-\infty,2)\cup(2,\infty)`. None: they are no such ranges."""
    ranges = [node for node in parts if isinstance(node, Items) and len(node.items) == 2]
    if len(ranges) < len(parts) or any(
        (node.opening, node.closing) != ("(", ")") for node in ranges
    ):
        return None
    lows, highs = ([node.items[end] for node in ranges] for end in (0, 1))
    if lows.count(LEFT_OPEN) != 1 or highs.count(RIGHT_OPEN) != 1:
        return None
    lows.remove(LEFT_OPEN)
    highs.remove(RIGHT_OPEN)
    same = len({*lows}) == len(lows) and {*lows} == {*highs}
    # Ranges that overlap leave out less: each has to end behind its beginning.
    return lows if same and not any(is_empty(*node.items) for node in ranges) else None


def within(low: Node, high: Node, sign: str) -> Node | None:
    """`|x|<3` and `|x|>3`."""
    if sign in ("<", "\\le"):
        opening, closing = ("(", ")") if sign == "<" else ("[", "]")
        return Items(opening, (low, high), closing, ordered=True)
    if sign == "\\ne":
        return None
    outside = interval(None, low, sign == ">"), interval(high, None, sign == ">")
    return Items(UNION, outside, "}", ordered=False)


def is_empty(low: Node, high: Node) -> bool:
    """Whether nothing can lie between two numbers, so that `x<-2, x>2` must mean either."""
    if not (isinstance(low, Leaf) and isinstance(high, Leaf)):
        return False
    ends = exact_number(low.key), exact_number(high.key)
    return ends[0] is not None and ends[1] is not None and ends[0] >= ends[1]
