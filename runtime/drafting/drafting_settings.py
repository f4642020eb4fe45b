"""What the proposer is told, through vLLM's ``additional_config`` (plain JSON values)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self


@dataclass(frozen=True, slots=True)
class DraftingSettings:
    """See ``CrossBranchSpeculation`` in ``config/speculation.py`` for the meaning of each."""

    longest_match: int = 8
    min_probability: float = 0.1
    token_cost: float | Literal["auto"] = "auto"
    earlier_races: bool = True
    memory_mib: float = 64.0
    tokens_per_batch_size: Sequence[Sequence[int]] = ()

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Self:
        return cls(**given)

    def tokens_at(self, branches: int, otherwise: int) -> int:
        """K while ``branches`` run. As in vLLM, a gap between two ranges has the K before it."""
        K = otherwise
        for first, _, tokens in self.tokens_per_batch_size:
            if branches >= first:
                K = tokens
        return K

    def least_at(self, branches: int) -> float:
        """The probability below which a draft token costs more time than it saves.

        ``min_probability`` where costs are measured: then these decide what pays. Otherwise, with
        a step of ``1 + c·N`` (c: ``token_cost``, N tokens in the batch, units of a step's fixed
        time) that yields ``A`` tokens a branch, one more verified token pays from a probability of
        ``c·A·B / (1 + c·N)`` on. A is taken as 2 and N as 3·B, so that the rule does not chase its
        own results.
        """
        if self.token_cost == "auto":
            return self.min_probability
        cost = self.token_cost * branches
        return max(self.min_probability, 2.0 * cost / (1.0 + 3.0 * cost))
