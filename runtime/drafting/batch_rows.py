"""Which race a row of vLLM's batch belongs to.

vLLM tells a proposer neither request ids nor prompts, and it moves rows about. A row's race is
found from its tokens: branches of a race begin with the same prompt, and so do their
continuations (forced answers), whose prompt is the branch so far.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .compiling import njit_kept
from .sentence_templates import find_numbers

#: Of a longer prompt only the end is kept and compared.
KEPT_PROMPT: Final = 2048
#: Numbers of a prompt that are remembered, the last ones.
NUMBERS: Final = 64


@njit_kept
def same_prompt(tokens: Any, length: Any, prompt: Any, prompt_length: Any) -> bool:
    """Whether a row of ``length`` tokens begins with a prompt of which ``prompt`` is the end."""
    if prompt_length > length:
        return False
    start = prompt_length - prompt.shape[0]
    for position in range(prompt.shape[0] - 1, -1, -1):  # prompts differ at their ends
        if tokens[start + position] != prompt[position]:
            return False
    return True


@dataclass(slots=True, eq=False)
class Race:
    """What is known of a race: its number, and its prompt."""

    number: int  # 1, 2, …; none twice
    prompt: Any  # (min(length, KEPT_PROMPT),) int32, the prompt's end
    length: int  # of the whole prompt
    asked: Any  # (numbers, 2) int64, spans of the prompt's numbers in their order
    used: int = 0  # the step of its last row


class Races:
    """The races met last, at most ``limit``; the one not met for longest goes first."""

    def __init__(self, limit: int, rows: int) -> None:
        self._limit = limit
        self._known: list[Race] = []
        self._of_row: list[Race | None] = [None] * rows
        self._opened = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, row: int, tokens: Any, length: int, now: int) -> Race | None:
        """The race of ``row``, whose ``length`` tokens are in ``tokens``, or None.

        Of several (a prompt may begin with another's) it is the one with the longest prompt.
        """
        race = self._of_row[row]
        if race is None or not same_prompt(tokens, length, race.prompt, race.length):
            matching = [r for r in self._known if same_prompt(tokens, length, r.prompt, r.length)]
            race = max(matching, key=lambda r: r.length, default=None)
            self._of_row[row] = race
        if race is not None:
            race.used = now
        return race

    def open(self, row: int, tokens: Any, length: int, digits: Any, now: int) -> Race:
        """A new race, whose prompt is the first ``length`` tokens of ``row``."""
        if len(self._known) >= self._limit:
            oldest = min(self._known, key=lambda r: r.used)
            self._known.remove(oldest)
            self._of_row = [None if race is oldest else race for race in self._of_row]
        self._opened += 1
        start = max(0, length - KEPT_PROMPT)
        spans = np.empty((NUMBERS, 2), dtype=np.int64)
        found = find_numbers(tokens, start, length, digits, spans)
        race = Race(
            number=self._opened,
            prompt=np.array(tokens[start:length], dtype=np.int32),
            length=length,
            asked=spans[:found][::-1].copy(),
            used=now,
        )
        self._known.append(race)
        self._of_row[row] = race
        return race
