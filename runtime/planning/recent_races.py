"""How many races a new one should expect beside it: not only those of the moment.

Races come in bursts. The first of a burst sees an idle engine, would take all of it, and leave the
next ones, and so itself, too little time for any answer.
"""

from typing import Final

#: Of the mean, that each race that begins has.
_SHARE: Final = 1 / 8
#: Seconds in which what was seen counts half.
_HALF_LIFE: Final = 60.0


class RecentRaces:
    """The races that new ones found running: an exponentially weighted mean, fading with time."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._at = 0.0

    def expected(self, racing: int, now: float) -> int:
        """What a race should expect that begins at ``now`` (seconds) beside ``racing`` others; and
        note that it does."""
        usual = self._mean * 0.5 ** (max(0.0, now - self._at) / _HALF_LIFE)
        self._mean = usual + _SHARE * (racing - usual)
        self._at = now
        return max(racing, round(usual))
