r"""What a canonical form is made of: lists, pairs, ranges, words, numbers, and what needs algebra.

The key of an answer is built from its structure, and equal keys are the same vote. So sameness is
an equivalence relation by construction: it depends on no other answer, and on no order in which
branches finish. Algebra has its say leaf by leaf: a worker gives each formula a key of its own.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from .atoms import atom, by_spelling
from .canonical import Canonical
from .nodes import Formula, Items, Leaf, Node
from .ranges import (
    ALL_BUT,
    LEFT_OPEN,
    RIGHT_OPEN,
    UNION,
    difference,
    gaps,
    interval,
    is_empty,
    merged,
    within,
    without,
)
from .rational import exact_number, spelled
from .rules import Order
from .sequences import encloses, split_top_level
from .spelling import END
from .words import is_words

# Deeper structures, and longer ones, are compared by their spelling.
MAX_DEPTH: Final = 6
MAX_ITEMS: Final = 64
# Formulas in one answer: each takes milliseconds of a worker.
MAX_FORMULAS: Final = 32


def formulas(node: Node) -> Iterator[str]:
    """The formulas of a structure, each that a worker must give a key."""
    match node:
        case Formula():
            yield node.latex
        case Items():
            for item in node.items:
                yield from formulas(item)
        case Leaf():
            pass


def key_of(
    node: Node,
    key: Callable[[str], str],
    rounded: Callable[[str], str] = lambda key: key,
    *,
    whole: bool = True,
) -> str:
    """The key of a structure.

    Args:
        key: that of a formula, by its LaTeX.
        rounded: applied to the key of each part.
        whole: the structure is all of an answer: a set of one thing is that thing then.
    """
    match node:
        case Leaf():
            return rounded(node.key)
        case Formula():
            return rounded(key(node.latex))
        case Items():
            keys = [key_of(item, key, rounded, whole=False) for item in node.items]
            if node.distinct:
                keys = list(dict.fromkeys(keys))
            if not node.ordered:
                keys.sort()
            # The set of the empty set is not empty.
            if len(keys) == 1 and node.opening == "{" and whole and node.items != (_EMPTY,):
                return keys[0]
            return f"{node.opening}{','.join(keys)}{node.closing}"


def structure_of(canonical: Canonical, order: Order = "brackets") -> Node:
    """The structure of an answer, with the order of items where it counts."""
    if canonical.number is not None:
        return Leaf(spelled(canonical.number))
    structure = _Reader(order).read(canonical.form, 0)
    many = sum(1 for _ in formulas(structure)) > MAX_FORMULAS
    return by_spelling(canonical.form) if many else structure


_MATRIX: Final = re.compile(r"\\begin\{([pbBvV]?|small)matrix\}(.*)\\end\{\1matrix\}")
_LABELLED: Final = re.compile(
    r"((?:\\[a-z]+ ?)?[A-Za-z]{1,24}(?:_\w|_\{\w+\})?'?(?:\([^()=]{1,8}\))?)=(?!=)"
)
_LABEL: Final = re.compile(r"[A-Za-z|\\][A-Za-z|\\_{}'()\d,= ]*")
_PLUS_MINUS: Final = re.compile(rf"\\pm{END} ?")  # `\pmod` begins alike
_MINUS_PLUS: Final = re.compile(rf"\\mp{END} ?")
_LEADING_PLUS: Final = re.compile(r"(?:^|(?<=[(\[,]))\+")
# What is worked out on the left, where the right is a number.
_EVALUATED: Final = re.compile(r"\\(?:int|iint|oint|lim|sum|prod)(?![A-Za-z])")
# The area of a triangle, and an expectation: `[ABC]`, `E[X]`.
_APPLIED: Final = re.compile(
    r"\[[A-Z]{3,6}\]|(?:[A-Z][a-z]{0,2}|\\mathbb\{[A-Z]\})\[[^\[\]=,]{1,24}\]"
)
_DENIED: Final = re.compile(r"\b(?:not|never|unless|except)\b", re.I)
_POINT: Final = re.compile(r"\([A-Za-z](?:_\d)?(?:,[A-Za-z](?:_\d)?)+\)")
# Coordinates in another order than the usual one: `(y,x)`.
_TURNED_POINT: Final = re.compile(r"\((?!x,[yz]\)|y,z\)|x,y,z\))[xyz](?:,[xyz]){1,2}\)")
_PLAIN_ABSOLUTE: Final = re.compile(r"\|([A-Za-z])\|")
_COMPARISON: Final = re.compile(rf"<|>|\\(?:le|ge|ne){END} ?")
_BUILDER: Final = re.compile(r"\\\{([A-Za-z])(?:\\in ?\\mathbb\{R\})?(?:\\mid|\||:)(.+)\\\}")
_WITHOUT: Final = re.compile(r"\(-\\infty,\\infty\)(?:\\setminus|\\backslash|-)\\\{(.+)\\\}")
_MINUS: Final = re.compile(rf"\\(?:setminus|backslash){END} ?")
_UNEQUAL: Final = re.compile(r"[A-Za-z]\\ne ?")
_IN_RANGE: Final = re.compile(r"[A-Za-z]\\in ?(?=[(\[])")
# `9 at x` of `9 at x=2` says more than a name.
_SAID_BEFORE: Final = re.compile(r"[-+$(]*\d|.*\d\S* (?:\w+ ){0,3}(?:at|when|for|if|where|with)\b")
_RELATION: Final = re.compile(rf"=|{_COMPARISON.pattern}")
_FLIPPED: Final = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}
_EMPTY: Final = Formula("\\emptyset")
_LETTER: Final = re.compile(r"(?<![A-Za-z\\])[A-Za-z]")
# The letters of unknowns, where others are parameters.
_UNKNOWNS: Final = "xyzt"


class _Reader:
    """Reads forms with one rule for the order of items."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def read(self, form: str, depth: int) -> Node:
        number = exact_number(form)
        if number is not None:
            return Leaf(spelled(number))
        if depth > MAX_DEPTH or not form:
            return by_spelling(form)
        for reader in (
            self._range,
            self._builder,
            self._list,
            self._bracketed,
            self._matrix,
            self._union,
            self._plus_minus,
            self._equation,
            self._comparison,
        ):
            if (node := reader(form, depth)) is not None:
                return node
        return atom(form)

    # ── lists and brackets ────────────────────────────────────────────────────────────────────

    def _list(self, form: str, depth: int) -> Node | None:
        parts = split_top_level(form, ",")
        if len(parts) < 2 or len(parts) > MAX_ITEMS or not all(parts):
            return None
        if _COMPARISON.search(form) and all(
            _COMPARISON.search(part) or _IN_RANGE.match(part) for part in parts
        ):
            return self._conditions(parts, depth)
        if match := _UNEQUAL.match(form):  # `x \ne 2, 3`
            rest = form[match.end() :]
            return None if _RELATION.search(rest) else self._all_but(rest, depth)
        dotted = any("\\ldots" in part for part in parts)
        return self._items("{", self._members(parts, depth), "}", dotted)

    def _members(self, parts: list[str], depth: int) -> list[Node]:
        """The items of a list; what they are called is no part of them if all are called alike."""
        labels = [match[1] if (match := _LABELLED.match(part)) else None for part in parts]
        named = {label for label in labels if label is not None}
        others = {_unknown(part) for part in parts if named and not _LABELLED.match(part)}
        one_unknown = len(named | others - {None}) == 1  # `x=1, y>2` has two
        if one_unknown and (None not in labels or labels[0] is not None):
            parts = [part[len(label) + 1 :] if label else part
                     for part, label in zip(parts, labels, strict=True)]  # fmt: skip
        if named and (len(named) > 1 or not one_unknown):
            return [self._named(part, label, depth)
                    for part, label in zip(parts, labels, strict=True)]  # fmt: skip
        signed = (sign for part in parts for sign in _both_signs(part))
        return [self.read(part, depth + 1) for part in signed]

    def _named(self, part: str, label: str | None, depth: int) -> Node:
        if label is None:
            name, node = _unknown(part), self.read(part, depth + 1)
            return Items(f"{name}:", (node,), "", ordered=True) if name else node
        value = self.read(part[len(label) + 1 :], depth + 1)
        return Items(f"{label}=", (value,), "", ordered=True)

    def _items(
        self, opening: str, items: list[Node], closing: str, ordered: bool, distinct: bool = False
    ) -> Node:
        if self._order != "brackets":
            ordered = self._order == "always"
        return Items(opening, tuple(items), closing, ordered, distinct and not ordered)

    def _bracketed(self, form: str, depth: int) -> Node | None:
        if form.startswith("\\{") and form.endswith("\\}") and encloses(form[1:]):
            parts = split_top_level(form[2:-2].strip(), ",")
            if len(parts) <= MAX_ITEMS and all(parts):
                return self._items("{", self._members(parts, depth), "}", False, distinct=True)
            return None
        if form[0] not in "([{" or form[-1] not in ")]}" or not encloses(form):
            return None
        parts = split_top_level(form[1:-1], ",")
        if len(parts) == 1 and form[0] + form[-1] in ("()", "{}"):
            return self.read(parts[0], depth + 1)
        if len(parts) == 1 and form[0] + form[-1] != "[]":
            return None
        if len(parts) > MAX_ITEMS or not all(parts) or form[0] == "{":
            return None
        if len(parts) > 1 and len(_PLUS_MINUS.findall(form)) == 1:  # two points: `(\\pm2, 0)`
            return self._plus_minus(form, depth)
        items = [self.read(part, depth + 1) for part in parts]
        return self._items(form[0], items, form[-1], ordered=True)

    def _matrix(self, form: str, depth: int) -> Node | None:
        match = _MATRIX.fullmatch(form)
        if match is None or match[1] in ("v", "V") or "\\begin" in match[2]:
            return None
        rows = [row.split("&") for row in match[2].split("\\\\") if row.strip()]
        if sum(map(len, rows)) > MAX_ITEMS:
            return None
        read = [
            Items("[", tuple(self.read(c.strip(), depth + 1) for c in row), "]", ordered=True)
            for row in rows
        ]
        return Items("matrix[", tuple(read), "]", ordered=True)

    def _plus_minus(self, form: str, depth: int) -> Node | None:
        if _PLUS_MINUS.search(form) is None:
            return None
        if match := _UNEQUAL.match(form):
            return self._all_but(form[match.end() :], depth)
        both = [self.read(signed, depth + 1) for signed in _both_signs(form)]
        return self._items("{", both, "}", ordered=False)

    # ── equations and ranges ──────────────────────────────────────────────────────────────────

    def _equation(self, form: str, depth: int) -> Node | None:
        approximate = split_top_level(form, re.compile(rf"\\approx{END} ?"))
        if len(approximate) > 1:
            named = (
                _LABEL.fullmatch(approximate[0]) is not None
                and exact_number(approximate[0]) is None
            )
            is_name = named and not re.search(r"\d|\\(?:pi|sqrt|frac)", approximate[0])
            return self.read(approximate[1 if is_name else 0], depth + 1)
        sides = split_top_level(form, "=")
        if len(sides) < 2 or not sides[-1] or _COMPARISON.search(form):
            return None
        left, right = sides[0], sides[-1]
        if not _letters(form) and exact_number(left) is not None and exact_number(right) is None:
            return self.read(left, depth + 1)  # `7 = 12-5`
        if _TURNED_POINT.fullmatch(left):
            return by_spelling(form)
        if len(sides) > 2 or not _letters(form) or _POINT.fullmatch(left):
            return self.read(right, depth + 1)
        if not _letters(right) and _is_label(left):
            return self.read(right, depth + 1)
        if not _letters(left) and _is_label(right):
            return self.read(left, depth + 1)
        return atom(form)

    def _range(self, form: str, depth: int) -> Node | None:
        """``x<1 or x>2`` and ``x\\ge1 and x\\le3``."""
        if not _COMPARISON.search(form) and "\\cup" not in form and "\\infty" not in form:
            return None
        for word, joined in ((" or ", self._union_of), (" and ", self._conditions)):
            parts = split_top_level(form, re.compile(rf"(?<=\S) ?\b{word.strip()}\b ?(?=\S)"))
            if len(parts) > 1:
                return joined(parts, depth)
        return None

    def _union(self, form: str, depth: int) -> Node | None:
        if match := _WITHOUT.fullmatch(form):
            return self._all_but(match[1], depth)
        sides = split_top_level(form, _MINUS)
        if len(sides) == 2 and all(sides):
            base, holes = (self.read(_as_set(side), depth + 1) for side in sides)
            left = difference([base], [holes])
            if left is None:
                return None
            finite = isinstance(base, Items) and base.opening == "{"
            return self._items("{", left, "}", False, True) if finite else self._together(left)
        parts = split_top_level(form, re.compile(r"\\cup ?"))
        return self._union_of(parts, depth) if 1 < len(parts) <= MAX_ITEMS else None

    def _union_of(self, parts: list[str], depth: int) -> Node:
        read = self._of_unknowns([_as_set(part) for part in parts], depth)
        if all(isinstance(node, Items) and node.distinct for node in read):
            members = [item for node in read if isinstance(node, Items) for item in node.items]
            return self._items("{", members, "}", ordered=False, distinct=True)
        return self._together(merged(read) or read)

    def _together(self, parts: list[Node]) -> Node:
        if len(parts) == 1:
            return parts[0]
        left_out = gaps(parts)
        return Items(UNION, tuple(parts), "}", False) if left_out is None else without(left_out)

    def _all_but(self, value: str, depth: int) -> Node:
        """All numbers without some, which are separated by commas."""
        signed = (sign for part in split_top_level(value, ",") for sign in _both_signs(part))
        return without([self.read(part, depth + 1) for part in signed])

    def _conditions(self, parts: list[str], depth: int) -> Node:
        """Several conditions that all hold: a lower and an upper bound are one range."""
        read = self._of_unknowns(parts, depth)
        pierced = [node for node in read if isinstance(node, Items) and node.opening == ALL_BUT]
        if len(pierced) == len(read):
            return without([at for node in pierced for at in node.items])
        if pierced:  # `x>1, x\\ne2`
            base = self._all_of([node for node in read if node not in pierced])
            left = difference([base], [at for node in pierced for at in node.items])
            return self._all_of(read) if left is None else self._together(left)
        return self._all_of(read)

    def _of_unknowns(self, parts: list[str], depth: int) -> list[Node]:
        """What each condition says; what it is about counts where that is not the same in all."""
        about = list(map(_unknown, parts))
        read = [self.read(_IN_RANGE.sub("", part), depth + 1) for part in parts]
        if len({name for name in about if name}) < 2:
            return read
        return [
            Items(f"{name}:", (node,), "", ordered=True) if name else node
            for name, node in zip(about, read, strict=True)
        ]

    def _all_of(self, read: list[Node]) -> Node:
        if len(read) == 1:
            return read[0]
        if len(read) == 2:
            bounds = [n for n in read if isinstance(n, Items) and len(n.items) == 2]
            low = next((n for n in bounds if n.items[1] == RIGHT_OPEN), None)
            high = next((n for n in bounds if n.items[0] == LEFT_OPEN), None)
            if low is not None and high is not None and is_empty(low.items[0], high.items[1]):
                return Items(UNION, tuple(read), "}", ordered=False)
            if low is not None and high is not None:
                ends = (low.items[0], high.items[1])
                return Items(low.opening, ends, high.closing, ordered=True)
        return Items("all{", tuple(read), "}", ordered=False)

    def _builder(self, form: str, depth: int) -> Node | None:
        match = _BUILDER.fullmatch(form)
        return self.read(match[2].strip(), depth + 1) if match else None

    def _comparison(self, form: str, depth: int) -> Node | None:
        signs = [match[0].strip() for match in _COMPARISON.finditer(form)]
        if not signs:
            return None
        sides = split_top_level(form, _COMPARISON)
        if len(sides) != len(signs) + 1 or not all(sides):
            return None
        if len(sides) == 2:
            unknown = _asked_for(sides)
            if unknown is None and all(map(_is_symbol, sides)):
                return self._chain(sides, signs, depth) or atom(form)
            if unknown == sides[1]:
                sides, signs = sides[::-1], [_FLIPPED[signs[0]]]
            if unknown is not None and unknown not in sides[1]:
                return self._bounded(self.read(sides[1], depth + 1), signs[0], sides[1], depth)
            bound = exact_number(sides[1])
            if _PLAIN_ABSOLUTE.fullmatch(sides[0]) and bound is not None and bound > 0:
                return within(Leaf(spelled(-bound)), Leaf(spelled(bound)), signs[0])
        elif len(sides) == 3 and _asked_for(sides) == sides[1] and "\\ne" not in signs:
            if signs[0] in (">", "\\ge") and signs[1] in (">", "\\ge"):
                sides, signs = sides[::-1], [_FLIPPED[sign] for sign in signs[::-1]]
            if signs[0] in ("<", "\\le") and signs[1] in ("<", "\\le"):
                low, high = (self.read(sides[i], depth + 1) for i in (0, 2))
                opening = "(" if signs[0] == "<" else "["
                return Items(opening, (low, high), ")" if signs[1] == "<" else "]", ordered=True)
        return self._chain(sides, signs, depth) or atom(form)

    def _chain(self, sides: list[str], signs: list[str], depth: int) -> Node | None:
        """``f(2)<f(1)<f(4)``, which is ``f(4)>f(1)>f(2)``; also ``a<b``."""
        if "\\ne" in signs:
            sides = sorted(sides) if len(sides) == 2 else []
        if len(sides) < 3 and not (sides and all(map(_is_symbol, sides))):
            return None
        if all(sign in (">", "\\ge") for sign in signs):
            sides, signs = sides[::-1], [_FLIPPED[sign] for sign in signs[::-1]]
        read = tuple(self.read(side, depth + 1) for side in sides)
        return Items(f"chain{' '.join(signs)}[", read, "]", ordered=True)

    def _bounded(self, bound: Node, sign: str, value: str, depth: int) -> Node:
        if sign == "\\ne":
            return self._all_but(value, depth)
        if sign in ("<", "\\le"):
            return interval(None, bound, open_ended=sign == "<")
        return interval(bound, None, open_ended=sign == ">")


def _as_set(form: str) -> str:
    """What stands in braces is a set where sets are joined, as LaTeX shows no such braces."""
    braces = form[:1] == "{" and form[-1:] == "}" and encloses(form)
    return f"\\{form[:-1]}\\}}" if braces else form


def _unknown(condition: str) -> str | None:
    """The one symbol that a condition is about."""
    if match := _IN_RANGE.match(condition):
        return match[0][0]
    sides = split_top_level(condition, _RELATION)
    found = _asked_for(sides)
    if found is None and len(sides) > 1:  # `2x>4`, `|x|<2`
        letters = set(_LETTER.findall(re.sub(r"\\[A-Za-z]+", " ", condition)))
        return letters.pop() if len(letters) == 1 else None
    return found


def _asked_for(sides: list[str]) -> str | None:
    """The symbol that sides of a relation bound: the only one, or of two the one that is more
    likely an unknown, `x` of `x>a`."""
    named = [side for side in sides if _is_symbol(side)] if len(sides) > 1 else []
    unknown = [side for side in named if side[0] in _UNKNOWNS]
    found = named if len(named) == 1 else unknown
    return found[0] if len(found) == 1 else None


def _both_signs(form: str) -> tuple[str, ...]:
    """What `\\pm` stands for; `\\mp` is the other sign."""
    if _PLUS_MINUS.search(form) is None:
        return (form,)
    upper = _PLUS_MINUS.sub("+", _MINUS_PLUS.sub("-", form))
    lower = _PLUS_MINUS.sub("-", _MINUS_PLUS.sub("+", form))
    return _LEADING_PLUS.sub("", upper), lower


def _letters(form: str) -> bool:
    """Whether a form has variables: letters that are neither macros nor words for numbers."""
    return _LETTER.search(re.sub(r"\\[A-Za-z]+", " ", form)) is not None


def _is_label(side: str) -> bool:
    """Whether a side of an equation only says what the other side is: `AB`, `|z|`, `P(A)`."""
    if is_words(side):
        return _DENIED.search(side) is None and _SAID_BEFORE.match(side) is None
    if _EVALUATED.match(side) or _APPLIED.fullmatch(side):
        return True
    # `AB` is a length, but `xy` is a product.
    product = re.fullmatch(r"[a-z]{2,3}", side) is not None
    return _LABEL.fullmatch(side) is not None and _letters(side) and not product


def _is_symbol(side: str) -> bool:
    return re.fullmatch(r"(?:\\[a-z]+|[A-Za-z])(?:_\w)?", side) is not None and side != "\\infty"
