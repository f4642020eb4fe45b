"""The classes of equal answers of one race."""

from collections.abc import Callable
from typing import Protocol

from .answer_keys import Equivalence, FormulaBudget
from .canonical import Canonical, canonicalize
from .rules import DEFAULT_RULES, ComparisonRules


class Clusters(Protocol):
    """The classes of equal answers of one race."""

    async def assign(self, answer: str) -> str:
        """The representative of an answer's class."""
        ...

    def assign_now(self, answer: str) -> str:
        """The same, without waiting for anything."""
        ...

    @property
    def undecided(self) -> int:
        """Formulas of answers that nobody could read in time: equal ones may be in two classes."""
        ...


class AnswerClusters:
    """Classes of answers that are compared as mathematics."""

    def __init__(self, equivalence: Equivalence, rules: ComparisonRules = DEFAULT_RULES) -> None:
        """Begin without classes, and compare by `equivalence` and `rules`."""
        self._equivalence = equivalence
        self._rules = rules
        # Key -> the first answer of its class, which represents it.
        self._by_key: dict[str, str] = {}
        # Canonical form -> the representative of its class, for all forms seen.
        self._by_form: dict[str, str] = {}
        self._budget = FormulaBudget()

    @property
    def undecided(self) -> int:
        return len(self._budget.undecided)

    async def assign(self, answer: str) -> str:
        """Return the representative of an answer's class: the first answer seen of that class.

        It may take the time limit of a comparison for each formula in the answer. An answer that is
        assigned stays in its class. It raises nothing. Cancelling it leaves the answer unassigned.
        """
        canonical = canonicalize(answer, self._rules.units)
        if canonical.form not in self._by_form:
            key = await self._equivalence.canonical_key(canonical, self._rules, self._budget)
            # Another branch may have assigned this very form meanwhile.
            if canonical.form not in self._by_form:
                return self._assigned(canonical, key, answer)
        return self._by_form[canonical.form]

    def assign_now(self, answer: str) -> str:
        """Return what `assign` returns, but without waiting: for when time is up.

        A form whose formulas are not known yet gets a class of its own, and keeps it.
        """
        canonical = canonicalize(answer, self._rules.units)
        known = self._by_form.get(canonical.form)
        if known is not None:
            return known
        return self._assigned(
            canonical, self._equivalence.key_now(canonical, self._rules, self._budget), answer
        )

    def _assigned(self, canonical: Canonical, key: str, answer: str) -> str:
        first = self._by_key.setdefault(key, answer)
        self._by_form[canonical.form] = first
        return first


class ExactClusters:
    """Classes of answers with equal keys; the first answer of each class represents it."""

    def __init__(self, key: Callable[[str], str]) -> None:
        self._key = key
        self._first: dict[str, str] = {}

    @property
    def undecided(self) -> int:
        return 0

    async def assign(self, answer: str) -> str:
        return self.assign_now(answer)

    def assign_now(self, answer: str) -> str:
        try:
            key = self._key(answer)
        except Exception:  # noqa: BLE001 - a user's key may fail: the spelling is left
            key = answer
        return self._first.setdefault(key, answer)
