"""B at run time: from the deadlines left, and from what all races on the engine need.

Races share every step of the engine, so what one takes slows down all. All are given the same most
branches, the number with which they are expected to give the most right answers together: a race
that begins is launched with it, and those that run are cut down to it. So the first of a burst of
races may take what it can use, and gives it back as the others arrive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from frontrunner.strategies.lengths import LengthModel

from ..racing.deadline_reserve import HEADROOM
from .runtime_models import RuntimeModels
from .token_clock import StepRate, TokenClock

#: Accuracy (share) below which a gain is none.
_TOLERANCE = 0.005
#: A race may take as much longer, or shorter, than is expected: too many branches by the deadline
#: cost far more than too few, and a plan that just fits would often not.
_SLOWDOWN_FACTORS = (0.85, 1.0, 1.2)
#: Measured times change the model's by no more than this factor, up or down.
_MAX_CORRECTION = 4.0
#: Prompts of as many such pieces (tokens) are as long as each other.
_PROMPT_PIECE = 64
#: Races that are looked at one by one.
_MAX_JUDGED = 16
#: Clocks kept; they differ by branches, others and prompt only.
_MAX_CLOCKS = 4096


@dataclass(frozen=True, slots=True)
class ActiveRace:
    """A race whose branches are chosen here."""

    seconds: float
    """Until its deadline."""
    prompt: int | None = None
    """Tokens of the question; None: as the profile's questions."""
    running: int | None = None
    """Branches that run; None: it has not begun, and may have any number."""
    ended: int = 0
    """Branches that have given their answers."""
    written: float = 0.0
    """Tokens of each branch that runs."""
    least: int = 1
    """Branches that it is to run at least."""

    def kept(self, share: int) -> int:
        """Branches that run if it has this share."""
        allowed = max(share, self.least)
        return allowed if self.running is None else min(self.running, allowed)


class BranchAllocator:
    """Shares the batch of an engine among races, by the models of a plan."""

    def __init__(self, models: RuntimeModels) -> None:
        self.models = models
        self._clocks: dict[tuple[int, int, int], TokenClock] = {}

    def share(
        self,
        contenders: Sequence[ActiveRace],
        *,
        most: int,
        fixed: int = 0,
        factor: float = 1.0,
    ) -> int:
        """The most branches that each of ``contenders`` should run from now on: the fewest that
        are expected to bring as many right answers, of all races together, as any number.

        Args:
            most: branches that the engine can run.
            fixed: branches that run whatever is decided here.
            factor: on all times, as ``correction`` says.
        """
        counts = [b for b in self.models.accuracy.branches if b <= most] or [1]
        expected = [
            sum(self._right(contenders, share, fixed, factor * much) for much in _SLOWDOWN_FACTORS)
            for share in counts
        ]
        enough = max(expected) - _TOLERANCE * len(_SLOWDOWN_FACTORS)
        return next(b for b, e in zip(counts, expected, strict=True) if e >= enough)

    def reached_tokens(
        self, contender: ActiveRace, share: int, others: int, factor: float = 1.0
    ) -> float:
        """Tokens that each branch of a race will have written when it is called, beside ``others``
        branches of other races all along."""
        engine, kept = self.models.engine, contender.kept(share)
        clock = self._clock(kept, others, contender.prompt)
        reserve = HEADROOM * factor * engine.forced.seconds(kept) + self.models.return_margin
        # The clock runs at the profile's pace, which is ``factor`` times too fast.
        left = max(0.0, contender.seconds - reserve) / factor
        began = clock.seconds(contender.written) if contender.written > 0 else 0.0
        return clock.tokens(began + left)

    def correction(self, seconds: float | None, batch: float) -> float:
        """The measured time of a branch's token over the model's. Machines are shared, and clocks
        throttle; and branches of many questions, which come and go, draft less from each other and
        wait for each other's prompts, of which a profile knows nothing.

        Args:
            seconds: ``EngineLoad.token_seconds``.
            batch: ``EngineLoad.token_batch``.
        """
        if seconds is None or batch <= 0:
            return 1.0
        models, engine = self.models, self.models.engine
        written = models.lengths.median / 2
        pace = StepRate(engine.step, engine.acceptance, models.schedule)
        usual = pace.seconds_per_token(max(1, round(batch)), models.prompt + written, written)
        if usual <= 0:
            return 1.0
        return min(_MAX_CORRECTION, max(1 / _MAX_CORRECTION, seconds / usual))

    def _right(
        self, contenders: Sequence[ActiveRace], share: int, fixed: int, factor: float
    ) -> float:
        """The share of right answers to expect."""
        batch = fixed + sum(c.kept(share) for c in contenders)
        # Every race that begins pays for this: of hundreds, some stand for all.
        judged = contenders[:: -(-len(contenders) // _MAX_JUDGED)]
        return fmean(
            self.models.accuracy.at(
                c.ended + c.kept(share),
                self.reached_tokens(c, share, batch - c.kept(share), factor),
            )
            for c in judged
        )

    def _clock(self, branches: int, others: int, prompt: int | None) -> TokenClock:
        models, engine = self.models, self.models.engine
        tokens = models.prompt if prompt is None else prompt
        pieces = -(-tokens // _PROMPT_PIECE)
        clock = self._clocks.get((branches, others, pieces))
        if clock is None:
            if len(self._clocks) >= _MAX_CLOCKS:
                self._clocks.clear()
            tokens = pieces * _PROMPT_PIECE
            clock = self._clocks[branches, others, pieces] = TokenClock(
                StepRate(engine.step, engine.acceptance, models.schedule),
                typical_lengths(models.lengths, branches),
                prompt=tokens,
                launch=engine.launch.seconds(branches, tokens),
                others=others,
            )
        return clock


def typical_lengths(lengths: LengthModel, branches: int) -> Sequence[int]:
    """Lengths of so many branches, evenly spread over the model's quantiles."""
    return [max(1, round(lengths.quantile((i + 0.5) / branches))) for i in range(branches)]
