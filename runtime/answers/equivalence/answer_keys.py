"""Which answers are the same vote: those with equal keys.

An answer's key is built from its structure, and its formulas get theirs from a worker, one by one
and never in pairs. Equality of keys is an equivalence relation whatever the answers are, and the
classes of a race do not depend on the order in which its branches finish.
"""

import re
from collections import OrderedDict
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final, Protocol, TypeVar

import anyio

from ..algebra.worker_pool import NoKey
from .canonical import Canonical, canonicalize
from .nodes import Node
from .rules import DEFAULT_RULES, ComparisonRules, Order
from .structure import formulas, key_of, structure_of

# A minute, as in `WorkerPool`, whose reasons to give no key pass by then.
UNDECIDED_FOR_S: Final = 60.0
# A formula that exceeded its time this often is not given to a worker again for a while. One is not
# enough: the machine may have been busy.
MAX_STRIKES: Final = 2
# Formulas of one race that may exceed their time before no more of its are read.
MAX_EXCEEDED: Final = 3
K = TypeVar("K")
V = TypeVar("V")
_NUMBER_IN_KEY: Final = re.compile(r"(?<![\w.])-?\d+(?:/\d+|\.\d+(?:e[-+]?\d+)?)?(?![\w.])")


class KeySource(Protocol):
    """What gives formulas their keys; `WorkerPool` does."""

    async def key(self, formula: str, timeout_s: float) -> str | NoKey:
        """Return the key of a formula in LaTeX, or why there is none."""
        ...


class FormulaBudget:
    """What the formulas of one race may cost the workers that all races share.

    One formula of a race is with a worker at a time, and after some that exceeded their time its
    further ones count by their spelling. Others' answers go on being compared.
    """

    def __init__(self, most_exceeded: int = MAX_EXCEEDED) -> None:
        self.turn = anyio.Lock()
        self.undecided: set[str] = set()  # formulas that count by their spelling
        self._left = most_exceeded

    @property
    def spent(self) -> bool:
        return self._left <= 0

    def note(self, latex: str, found: str | NoKey) -> None:
        """A formula has a key, or has none."""
        if found is NoKey.EXCEEDED:
            self._left -= 1
        if found in (NoKey.EXCEEDED, NoKey.NO_WORKER):
            self.undecided.add(latex)


class Equivalence:
    """Gives answers their keys, and remembers those of formulas; shared by all races.

    A formula that nobody can read in time is known by its spelling, and is not tried again for a
    while after `MAX_STRIKES`: a hostile answer costs two workers, and no other answer's time. It is
    tried again later because the fault may not have been its own.
    """

    def __init__(
        self,
        pool: KeySource | None,
        timeout_s: float = 1.0,
        max_keys: int = 16_384,
        undecided_for_s: float = UNDECIDED_FOR_S,
    ) -> None:
        """Remember up to `max_keys` keys of `pool`.

        Args:
            pool: Gives formulas their keys; None to do without. It is not closed here.
            timeout_s: The limit for one formula, in seconds.
            max_keys: How many formulas' keys are remembered. Each has about 1 KiB at most.
            undecided_for_s: How long a formula that exceeded its time is left alone, in seconds.
        """
        self._pool = pool
        self._timeout_s = timeout_s
        self._max_keys = max_keys
        self._undecided_for_s = undecided_for_s
        # Formula -> key, the least recently used first.
        self._keys: OrderedDict[str, str] = OrderedDict()
        # Formula -> how often it exceeded its time, and until when that counts.
        self._strikes: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._in_flight: dict[str, anyio.Event] = {}

    async def same(self, a: str, b: str, rules: ComparisonRules = DEFAULT_RULES) -> bool:
        """Return whether two answers are the same vote; undecided counts as different.

        It raises nothing. Cancelling it abandons a formula that it began itself; others who wait
        for the same one begin it anew.
        """
        return await self.key(a, rules) == await self.key(b, rules)

    async def key(self, answer: str, rules: ComparisonRules = DEFAULT_RULES) -> str:
        """Return what an answer has in common with all that are the same vote."""
        return await self.canonical_key(canonicalize(answer, rules.units), rules)

    async def canonical_key(
        self,
        canonical: Canonical,
        rules: ComparisonRules,
        budget: FormulaBudget | None = None,
    ) -> str:
        """Do what `key` does, for an answer whose canonical form is known.

        Args:
            budget: Of the race that the answer is of; None: it may cost anything.
        """
        structure = _structure(canonical, rules.order)
        keys = {latex: await self._formula_key(latex, budget) for latex in formulas(structure)}
        return _key(structure, keys, rules)

    def key_now(
        self, canonical: Canonical, rules: ComparisonRules, budget: FormulaBudget | None = None
    ) -> str:
        """Do what `key` does without waiting: formulas not known yet count by their spelling."""
        structure = _structure(canonical, rules.order)
        if budget is not None and self._pool is not None:
            budget.undecided.update(f for f in formulas(structure) if f not in self._keys)
        keys = {latex: self._keys.get(latex) or _spelling(latex) for latex in formulas(structure)}
        return _key(structure, keys, rules)

    async def _formula_key(self, latex: str, budget: FormulaBudget | None) -> str:
        budget = budget or FormulaBudget()
        while True:
            known = self._remembered(latex)
            if known is not None:
                if latex not in self._keys:
                    budget.undecided.add(latex)
                return known
            in_flight = self._in_flight.get(latex)
            if in_flight is None:
                break
            await in_flight.wait()
        if self._pool is None:
            return _spelling(latex)
        done = self._in_flight[latex] = anyio.Event()
        try:
            async with budget.turn:
                if budget.spent:
                    budget.undecided.add(latex)
                    return _spelling(latex)
                found = await self._pool.key(latex, self._timeout_s)
            budget.note(latex, found)
            return self._remember(latex, found)
        finally:
            del self._in_flight[latex]
            done.set()

    def _remembered(self, latex: str) -> str | None:
        key = self._keys.get(latex)
        if key is not None:
            self._keys.move_to_end(latex)
            return key
        strikes, until = self._strikes.get(latex, (0, 0.0))
        if strikes >= MAX_STRIKES and anyio.current_time() < until:
            return _spelling(latex)
        return None

    def _remember(self, latex: str, found: str | NoKey) -> str:
        match found:
            case NoKey.EXCEEDED:
                now = anyio.current_time()
                strikes, until = self._strikes.get(latex, (0, 0.0))
                entry = (strikes + 1 if now < until else 1, now + self._undecided_for_s)
                _put(self._strikes, latex, entry, self._max_keys)
                return _spelling(latex)
            case NoKey.NO_WORKER:
                return _spelling(latex)
            case NoKey.UNREADABLE:
                key = _spelling(latex)
            case str():
                key = found
        _put(self._keys, latex, key, self._max_keys)
        return key


@lru_cache(4096)
def _structure(canonical: Canonical, order: Order) -> Node:
    return structure_of(canonical, order)


def _key(structure: Node, keys: dict[str, str], rules: ComparisonRules) -> str:
    digits = rules.significant_digits
    if digits is None:
        return key_of(structure, keys.__getitem__)
    context = Context(prec=digits)
    return key_of(structure, keys.__getitem__, lambda key: _rounded(key, context))


def _rounded(key: str, context: Context) -> str:
    """The key of a part with its numbers rounded; words and spellings have none."""
    if key[:1] in ("'", "=", "#"):
        return key

    def rounded(match: re.Match[str]) -> str:
        top, _, bottom = match[0].partition("/")
        return str(context.divide(Decimal(top), Decimal(bottom or 1)).normalize(context))

    return _NUMBER_IN_KEY.sub(rounded, key)


def _spelling(latex: str) -> str:
    return f"={latex}"


def _put(store: OrderedDict[K, V], key: K, value: V, limit: int) -> None:
    store[key] = value
    store.move_to_end(key)
    while len(store) > limit:
        store.popitem(last=False)
