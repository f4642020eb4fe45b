"""What makes answers the same vote, where people differ: the switches of ``[answers]``."""

import math
from dataclasses import dataclass
from typing import Final, Literal

#: Units are dropped by custom, or part of the answer.
Units = Literal["drop", "keep"]
#: Where the order of a list's items counts: in round and square brackets only, or always, or never.
Order = Literal["brackets", "always", "never"]


@dataclass(frozen=True, slots=True)
class ComparisonRules:
    """How answers are compared.

    Attributes:
        units: ``drop``: ``5 cm`` is ``5``; ``keep``: it is not, and ``5 cm`` is no ``5 m``.
        tolerance: Relative; 0.01 compares numbers by three significant digits, 1e-6 by seven. 0:
            exactly. Rounding is what keeps sameness a relation, so two numbers on both sides of a
            rounding step differ however near they are.
        order: Where the order of a list's items counts. ``brackets``: in ``(1, 2)`` and ``[1, 2]``,
            but not in ``1, 2`` or ``\\{1, 2\\}``.
    """

    units: Units = "drop"
    tolerance: float = 0.0
    order: Order = "brackets"

    @property
    def significant_digits(self) -> int | None:
        """Those that numbers are compared by; None: all."""
        return 1 + math.ceil(-math.log10(self.tolerance)) if self.tolerance else None


DEFAULT_RULES: Final = ComparisonRules()
