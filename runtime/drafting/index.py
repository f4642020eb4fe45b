"""What was written after what, by race and over all races, in memory that does not grow."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from .batch_rows import KEPT_PROMPT, NUMBERS, Race
from .contexts import BUCKETS, FIELDS, WAYS, learn_tokens
from .step import LEVELS, SOURCES, step
from .vocabulary import Vocabulary

#: The salt of the contexts that all races share.
_SHARED: Final = 0x51ED2701
#: Units of the longest template that is looked up.
MAX_TEMPLATE: Final = 12


class ContinuationIndex:
    """Continuations of the last tokens and of templates, and the drafts made of them.

    Args:
        mib: size of the table; contexts not met for longest are overwritten.
        longest: the longest context, in tokens.
        shared: also count for all races together, so that a race can draft from earlier ones.
        rows: the largest batch.
        K: the longest draft.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        mib: float,
        rows: int,
        K: int,
        longest: int = 8,
        shared: bool = True,
    ) -> None:
        sets = int(mib * 2**20) // (4 * WAYS * FIELDS)
        self._table = np.zeros((1 << max(4, sets.bit_length() - 1), WAYS, FIELDS), dtype=np.int32)
        tiers = 2 if shared else 1
        self._token_trust = np.zeros((tiers, longest + 1, BUCKETS, 2))
        self._template_trust = np.zeros((tiers, MAX_TEMPLATE + 1, BUCKETS, 2))
        self._calibration = np.zeros((SOURCES, LEVELS, 2))
        self._vocabulary = vocabulary
        self._shared = shared
        self._now = 0
        self._promised = 0.0
        # The last step's drafts, which the next one is held against.
        self._drafts = np.zeros((rows, K), dtype=np.int32)
        self._sources = np.zeros((rows, K), dtype=np.int32)
        self._levels = np.zeros((rows, K), dtype=np.int32)
        self._drafted = np.zeros(rows, dtype=np.int64)
        self._given = np.zeros(rows, dtype=np.int64)
        self._chances = np.zeros((rows, K))
        self._drafted_at = np.full(rows, -1, dtype=np.int64)
        self._drafted_for = np.zeros(rows, dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """What is allocated: the table, 12 bytes a token of the vocabulary, and what little
        the rows need."""
        arrays = [*vars(self).values(), *self._vocabulary.arrays]
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

    def salts(self, number: int) -> tuple[int, ...]:
        """What the contexts of race ``number`` are hashed with, a tier each."""
        own = (number * 0x2545F4914F6CDD1D + 1) & (2**64 - 1)
        return (own, _SHARED) if self._shared else (own,)

    def learn_prompt(self, tokens: Any, race: Race) -> None:
        """Count the prompt's tokens as continuations; ``tokens`` (int32) begins with it."""
        start = max(1, race.length - KEPT_PROMPT)
        salts = np.array(self.salts(race.number), dtype=np.uint64)
        learn_tokens(
            self._table, self._token_trust, tokens, start, race.length, salts,
            self._token_trust.shape[1] - 1, self._now,
        )  # fmt: skip

    def step(
        self,
        tokens: Any,
        lengths: Any,
        new: Any,
        races: Sequence[Race | None],
        most: Any,
        least: float,
        choose: Callable[[Any], int] | None = None,
    ) -> list[list[int]]:
        """Learn each row's new tokens, then draft for each.

        Args:
            tokens: (at least rows, max_length) int32.
            lengths: (rows,) int64, the new tokens included.
            new: (rows,) int64; a row with 0 is neither learned nor drafted for.
            races: of each row; None only where nothing is new.
            most: (rows,) int64, no draft is longer.
            least: a draft ends before its probability of being accepted whole falls below this.
            choose: says how many of all rows' draft tokens are given, the likeliest; it is called
                with their probabilities of being accepted, falling. None: all of them.
        """
        self._now += 1
        rows = len(races)
        prompts, counts = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        numbers = np.zeros(rows, dtype=np.int64)
        asked = np.zeros((rows, NUMBERS, 2), dtype=np.int64)
        salts = np.zeros((rows, 2 if self._shared else 1), dtype=np.uint64)
        for row, race in enumerate(races):
            if race is not None:
                prompts[row], numbers[row] = race.length, race.number
                counts[row] = len(race.asked)
                asked[row, : counts[row]] = race.asked
                salts[row] = self.salts(race.number)
        vocabulary = self._vocabulary
        step(
            self._table, self._token_trust, self._template_trust, self._calibration,
            tokens, lengths, new, prompts, asked, counts, numbers, salts,
            vocabulary.digits, vocabulary.spaced, vocabulary.plain, self._now, most, least,
            self._drafts, self._drafted, self._given, self._sources, self._levels,
            self._chances, self._drafted_at, self._drafted_for,
        )  # fmt: skip
        if choose is not None:
            self._choose(rows, choose)
        given = self._given[:rows].tolist()
        drafts = self._drafts[:rows].tolist()
        return [draft[:count] for draft, count in zip(drafts, given, strict=True)]

    @property
    def promised(self) -> float:
        """How many of the tokens that the last step's choice gave are expected to be accepted."""
        return self._promised

    def _choose(self, rows: int, choose: Callable[[Any], int]) -> None:
        """Cut the drafts to as many tokens as ``choose`` says."""
        given = self._given[:rows]
        there = np.arange(self._chances.shape[1]) < given[:, None]
        # A token is never likelier than the one before it, which therefore comes first here.
        row_of, _ = np.nonzero(there)
        chances = self._chances[:rows][there]
        order = np.argsort(-chances, kind="stable")
        falling = chances[order]
        count = choose(falling)
        self._promised = float(falling[:count].sum())
        if count < len(order):
            given[:] = np.bincount(row_of[order[:count]], minlength=rows)
