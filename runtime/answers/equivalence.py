"""Which answers are the same vote.

Sameness is decided as cheaply as possible: by canonical form, exactly if both are numbers, by form
alone for what a parser should not see, and only then by a worker. It is no equivalence relation in
the strict sense (math-verify rounds), so answers are compared with one representative of each
class, in the order of the classes, and stay in the class they came to.
"""

from collections import OrderedDict
from math import inf
from typing import Protocol, TypeVar

import anyio

from .canonical import Canonical, canonicalize, needs_only_string_comparison

# A minute, as in `WorkerPool`, whose reasons to decide nothing pass by then.
UNDECIDED_FOR_S = 60.0
# A form that left this many comparisons undecided is not given to a parser again for a while. One
# is not enough: it may have been the other form's fault.
MAX_STRIKES = 2
_SOUND = -1  # instead of a number of strikes

_Pair = tuple[str, str]
K = TypeVar("K")
V = TypeVar("V")


class Verifier(Protocol):
    """What compares expressions; `WorkerPool` does."""

    async def verify(self, a: str, b: str, timeout_s: float) -> bool | None:
        """Return whether two canonical forms are equal, None if undecided, within `timeout_s`."""
        ...


class Equivalence:
    """Compares answers and remembers the verdicts; shared by all races.

    An answer that nobody can compare in time is different from all others, and is not tried again
    for a while: neither with the same partner nor, after `MAX_STRIKES`, with any other, so that a
    hostile answer costs two workers and not one for each class of its race. It is tried again
    later because the fault may not have been its own: the worker was only just starting.
    """

    def __init__(
        self,
        pool: Verifier | None,
        timeout_s: float = 1.0,
        max_pairs: int = 16_384,
        undecided_for_s: float = UNDECIDED_FOR_S,
    ) -> None:
        """Remember up to `max_pairs` verdicts of `pool`.

        Args:
            pool: Compares what needs algebra; None to do without. It is not closed here.
            timeout_s: The limit for one comparison, in seconds.
            max_pairs: How many verdicts are remembered. A pair has 1 KiB at most, usually less
                than 100 bytes.
            undecided_for_s: How long an undecided comparison counts as different before it is
                tried again, in seconds.
        """
        self._pool = pool
        self._timeout_s = timeout_s
        self._max_pairs = max_pairs
        self._undecided_for_s = undecided_for_s
        # Pair -> verdict and until when it holds, the least recently used first.
        self._verdicts: OrderedDict[_Pair, tuple[bool, float]] = OrderedDict()
        # Form -> how many comparisons it left undecided and until when that counts.
        self._strikes: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._in_flight: dict[_Pair, anyio.Event] = {}

    async def same(self, a: str, b: str) -> bool:
        """Return whether two answers are the same vote; undecided counts as different.

        It raises nothing. Cancelling it abandons a comparison that it began itself; others who
        wait for the same one begin it anew.
        """
        return await self.same_canonical(canonicalize(a), canonicalize(b))

    async def same_canonical(self, a: Canonical, b: Canonical) -> bool:
        """Do what `same` does, for answers whose canonical forms are known.

        Cancelling it does the same, too.
        """
        verdict = same_without_parser(a, b)
        if verdict is not None:
            return verdict
        pair = (a.form, b.form) if a.form < b.form else (b.form, a.form)
        while True:
            verdict = self._remembered(pair)
            if verdict is not None:
                return verdict
            in_flight = self._in_flight.get(pair)
            if in_flight is None:
                break
            await in_flight.wait()
        if self._pool is None:
            return False
        done = self._in_flight[pair] = anyio.Event()
        try:
            verdict = await self._pool.verify(*pair, self._timeout_s)
            self._remember(pair, verdict)
        finally:
            del self._in_flight[pair]
            done.set()
        return verdict is True

    def _remembered(self, pair: _Pair) -> bool | None:
        now = anyio.current_time()
        verdict, until = self._verdicts.get(pair, (False, 0.0))
        if now < until:
            self._verdicts.move_to_end(pair)
            return verdict
        for form in pair:
            strikes, until = self._strikes.get(form, (0, 0.0))
            if strikes >= MAX_STRIKES and now < until:
                return False
        return None

    def _remember(self, pair: _Pair, verdict: bool | None) -> None:
        now = anyio.current_time()
        until = now + self._undecided_for_s if verdict is None else inf
        _put(self._verdicts, pair, (verdict is True, until), self._max_pairs)
        for form in pair:
            # One decided comparison clears a form: what hangs, hangs when it is parsed or
            # simplified, whatever it is compared with.
            strikes, counts_until = self._strikes.get(form, (0, until))
            if verdict is not None or strikes == _SOUND:
                entry = (_SOUND, inf)
            else:
                entry = (strikes + 1 if now < counts_until else 1, until)
            _put(self._strikes, form, entry, 2 * self._max_pairs)


class AnswerClusters:
    """The classes of equal answers of one race."""

    def __init__(self, equivalence: Equivalence) -> None:
        """Begin without classes, and compare by `equivalence`."""
        self._equivalence = equivalence
        # The representative of each class, in the order of the classes.
        self._classes: list[tuple[Canonical, str]] = []
        # Canonical form -> the representative of its class, for all forms seen.
        self._by_form: dict[str, str] = {}

    async def assign(self, answer: str) -> str:
        """Return the representative of an answer's class: the first answer seen of that class.

        A new form is compared with the representatives one by one, so it may take several times
        the time limit of a comparison. An answer that is assigned stays in its class. It raises
        nothing. Cancelling it leaves the answer unassigned.
        """
        canonical = canonicalize(answer)
        # Others may add classes, or assign this very form, at each await. After the last class
        # there is no await before a new one is added, so two equal answers never get two.
        position = 0
        while canonical.form not in self._by_form and position < len(self._classes):
            representative, first = self._classes[position]
            if (
                await self._equivalence.same_canonical(canonical, representative)
                and canonical.form not in self._by_form
            ):
                self._by_form[canonical.form] = first
            position += 1
        return self._assigned(canonical, answer)

    def assign_now(self, answer: str) -> str:
        """Return what `assign` returns, but compare only by canonical form: for when time is up.

        A form not seen before gets a class of its own, and keeps it.
        """
        return self._assigned(canonicalize(answer), answer)

    def _assigned(self, canonical: Canonical, answer: str) -> str:
        first = self._by_form.get(canonical.form)
        if first is None:
            first = self._by_form[canonical.form] = answer
            self._classes.append((canonical, answer))
        return first


def same_without_parser(a: Canonical, b: Canonical) -> bool | None:
    """Return whether two answers are the same vote, or None if only a parser can tell."""
    if a.form == b.form:
        return True
    if a.number is not None and b.number is not None:
        return False
    if needs_only_string_comparison(a.form) or needs_only_string_comparison(b.form):
        return False
    return None


def _put(store: OrderedDict[K, V], key: K, value: V, limit: int) -> None:
    store[key] = value
    store.move_to_end(key)
    while len(store) > limit:
        store.popitem(last=False)
