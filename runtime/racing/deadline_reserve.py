"""How long before the deadline unfinished branches must be asked for their answers.

The reserve covers: the engine step under way, the steps that take in the forcing suffixes (and
the part of a branch that its prefix cache lost), one step for each token of the longest forced
answer, and the way back. Step times are the engine's own, measured at the present load; a factor
learned from past rounds corrects what they leave out. So it is with the way back: where many races
end at one moment, or the event loop is busy, it takes longer than the margin set aside for it.
"""

from dataclasses import dataclass
from math import ceil

from ..engines.protocol import EngineInfo, EngineLoad

#: What the reserve is over the rounds seen: they vary.
HEADROOM = 1.2
#: The same for the way back, a caller's own turn of the event loop included.
_RETURN_HEADROOM = 1.5
#: The margin becomes no more than so many times what was set aside: one long pause of the whole
#: machine says nothing about the next race.
_MAX_MARGIN_FACTOR = 5.0
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

    @property
    def margin(self) -> float:
        """Seconds kept for handing the result back."""
        needed = _RETURN_HEADROOM * self.return_seconds
        return max(self.return_margin, min(needed, _MAX_MARGIN_FACTOR * self.return_margin))

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
        """The reserve for a round predicted to take ``predicted`` seconds."""
        return predicted * self.factor + self.margin

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
