"""Draft tokens by the number of branches in a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .engine_model import EngineModel


@dataclass(frozen=True, slots=True)
class KSchedule:
    """K by batch size; the form of vLLM's ``num_speculative_tokens_per_batch_size``."""

    entries: tuple[tuple[int, int], ...] = ((1, 0),)
    """(from this batch on, K); rising, the first is from 1 on."""

    @classmethod
    def constant(cls, k: int) -> "KSchedule":
        return cls(((1, k),))

    @classmethod
    def fastest(cls, model: EngineModel, context: float, most: int) -> "KSchedule":
        """For each batch up to ``most`` the number of draft tokens that is fastest."""
        best = [(model.best_k(b, context), b) for b in range(1, most + 1)]
        runs = ((k, next(run)[1]) for k, run in groupby(best, key=lambda pair: pair[0]))
        return cls(tuple((start, k) for k, start in runs))

    def __call__(self, batch: int) -> int:
        chosen = self.entries[0][1]
        for start, k in self.entries:
            if start > batch:
                break
            chosen = k
        return chosen

    @property
    def most(self) -> int:
        """The largest K."""
        return max(k for _, k in self.entries)

    @property
    def changes(self) -> bool:
        return len(self.entries) > 1

    def ranges(self, most: int) -> list[list[int]]:
        """``[from batch, to batch, K]``, inclusive, up to a batch of ``most``."""
        starts = [start for start, _ in self.entries if start <= most]
        ends = [start - 1 for start in starts[1:]] + [max(most, starts[-1])]
        return [[s, e, self(s)] for s, e in zip(starts, ends, strict=True)]

    def label(self) -> str:
        if not self.changes:
            return str(self.entries[0][1])
        return ", ".join(f"{k} from {start}" for start, k in self.entries)


def constants(ks: Sequence[int]) -> list[KSchedule]:
    return [KSchedule.constant(k) for k in ks]
