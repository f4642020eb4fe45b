"""How long before the deadline unfinished branches must be asked for their answers.

The reserve covers: the engine step under way, the steps that take in the forcing suffixes (and
the part of a branch that its prefix cache lost), one step for each token of the longest forced
answer, and the way back. Step times are the engine's own, measured at the present load; a factor
learned from past rounds corrects what they leave out. So it is with the way back: where many races
end at one moment, or the event loop is busy, it takes longer than the margin set aside for it.
"""

from dataclasses import dataclass, field
from math import ceil

import anyio

from ..engines.protocol import EngineInfo, EngineLoad
from .call_crowd import CallCrowd

#: What the reserve is over the rounds seen: they vary.
HEADROOM = 1.2
#: The same for the way back, a caller's own turn of the event loop included.
_RETURN_HEADROOM = 1.5
#: The margin becomes no more than so many times what was set aside: one long pause of the whole
#: machine says nothing about the next race.
_MAX_MARGIN_FACTOR = 5.0
#: A turn of a busy event loop takes as long as what is due is late. From the call to the last
#: forced answer it takes some turns, and some from the hard stop to the caller.
_TURNS_TO_FORCE, _TURNS_BACK = 3, 2
#: Seconds of lag that need no time of their own, and those that are one long pause of the machine.
_USUAL_LAG, _MAX_LAG = 0.005, 0.5
#: Seconds in which a lag that is not seen again counts half.
_LAG_HALF_LIFE = 0.25
#: How far an estimate rises towards a greater value, and falls towards a smaller one.
_RISE, _FALL = 0.3, 0.05


@dataclass(slots=True)
class DeadlineReserve:
    """Predicts how long a round of forced answers takes; learns from each round.

    Args:
        return_margin: seconds kept at least for handing the result back.
        fallback_step: seconds a step is taken to last before one was measured.
    """

    return_margin: float
    fallback_step: float
    factor: float = 1.5  # of measured over predicted, a high estimate
    rounds: int = 0  # that were measured
    return_seconds: float = 0.0  # that handing back took, a high estimate
    lag: float = 0.0  # seconds that the event loop ran late what was due, a high estimate
    lag_at: float = 0.0  # when that was (anyio clock, seconds)
    crowd: CallCrowd = field(default_factory=CallCrowd)
    """Who else is called at about the same moment."""

    @property
    def margin(self) -> float:
        """Seconds kept for handing the result back."""
        needed = _RETURN_HEADROOM * self.return_seconds
        usual = max(self.return_margin, min(needed, _MAX_MARGIN_FACTOR * self.return_margin))
        return usual + _TURNS_BACK * self._busy_turn

    @property
    def _busy_turn(self) -> float:
        """Seconds that a turn of the event loop takes, where that is long enough to count."""
        if self.lag <= _USUAL_LAG:
            return 0.0
        lag = self._lag_now(anyio.current_time())
        return lag if lag > _USUAL_LAG else 0.0

    def _lag_now(self, now: float) -> float:
        # It fades by itself: where every race is refused for it, none would find it gone.
        return self.lag * 0.5 ** (max(0.0, now - self.lag_at) / _LAG_HALF_LIFE)

    def round_seconds(
        self,
        branches: int,
        suffix_tokens: int,
        answer_tokens: int,
        info: EngineInfo,
        load: EngineLoad,
    ) -> float:
        """Predicted seconds from the call time to the last forced answer, uncorrected."""
        prefill = branches * (suffix_tokens + info.cache_block_tokens / 2)
        steps = 1 + ceil(prefill / info.prefill_tokens_per_step) + answer_tokens
        return steps * (load.step_seconds or self.fallback_step)

    def seconds(self, predicted: float) -> float:
        """The reserve for a round predicted to take ``predicted`` seconds, and for the way back."""
        return self.round_reserve(predicted) + self.margin

    def round_reserve(self, predicted: float) -> float:
        """The same without the way back."""
        turns = _TURNS_TO_FORCE * self._busy_turn if predicted else 0.0
        return predicted * self.factor + turns

    def record_lag(self, seconds: float, now: float) -> None:
        """Take in how late the event loop ran something (``now`` on the anyio clock, seconds): a
        long lag is believed at once, since whoever is called next is late by it as well."""
        self.lag = max(min(seconds, _MAX_LAG), self._lag_now(now))
        self.lag_at = now

    def learn(self, predicted: float, actual: float) -> None:
        """Take in how long a round took: the first one outright, later ones by rising fast and
        falling slowly, since a late answer is worse than an early one."""
        ratio = min(10.0, max(0.25, actual / max(predicted, 1e-6)))
        target = ratio * HEADROOM
        weight = 1.0 if not self.rounds else _RISE if target > self.factor else _FALL
        self.factor += weight * (target - self.factor)
        self.rounds += 1

    def record_return_latency(self, seconds: float) -> None:
        """Take in how long the way back took, of a race that ran until its last moment: a longer
        one is believed at once, as the next result must not be late."""
        weight = 1.0 if seconds > self.return_seconds else _FALL
        self.return_seconds += weight * (seconds - self.return_seconds)
