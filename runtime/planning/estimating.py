"""What a configuration would give by a deadline: pilot races replayed in seconds.

The strategies are the live ones and the branches are recorded; only the clock is a model
(``clock.TokenClock``). A replay thus knows of stop rules, forced answers, contexts that grow and
batches that shrink.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, pstdev

from ..errors import BadRequest
from ..racing.deadline_reserve import HEADROOM
from ..simulation.cells import StrategySpec
from ..simulation.recorded_draws import FreshStrategies, RecordedDraws
from ..simulation.simulated_race import Outcome, SimulatedRace, Timing
from ..traces.recordings import RecordedBranch, RecordedQuestion
from .engine_model import EngineModel
from .schedule import KSchedule
from .token_clock import StepRate, TokenClock


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration."""

    method: str
    schedule: KSchedule
    branches: int
    strategy: StrategySpec


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a plan must take as it is. Times in seconds."""

    prompt: int
    """Tokens of a question."""
    others: int = 0
    """Branches of other races that run all along."""
    return_margin: float = 0.03
    forced: bool = True
    """Whether the pilot says what unfinished branches answer when forced."""
    factor: float = 1.0
    """On each step's time."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a candidate is expected to give by a deadline."""

    candidate: Candidate
    deadline: float
    accuracy: float
    """Share of the questions answered rightly, in [0, 1]."""
    error: float
    """Its standard error, over questions."""
    p50: float
    """Seconds."""
    p95: float
    tokens: float
    """Of all branches of a race, the mean."""
    finished: float
    """Share of the branches that end by themselves."""
    by_question: tuple[float, ...]
    """Accuracy by question, in the pilot's order."""

    def gain_over(self, other: "Estimate") -> tuple[float, float]:
        """Accuracy over another's on the same questions and draws, and its standard error."""
        pairs = zip(self.by_question, other.by_question, strict=True)
        return _mean_and_error([mine - theirs for mine, theirs in pairs])


class Estimator:
    """Replays a pilot."""

    def __init__(
        self,
        models: dict[str, EngineModel],
        questions: Sequence[RecordedQuestion],
        circumstances: Conditions,
        *,
        draws: int = 8,
        seed: int = 0,
    ) -> None:
        """
        Args:
            models: by method of speculation.
            questions: with answers that are votes (``traces.unified``).
            draws: random orders of each question's branches; the same for all candidates.

        Raises:
            BadRequest: there are no questions.
        """
        if not questions or not all(q.branches for q in questions):
            raise BadRequest("the pilot holds no whole branch of some question")
        self.models = models
        self.circumstances = circumstances
        self.most_branches = min(len(q.branches) for q in questions)
        self._questions = questions
        self._draws = draws
        self._recorded = RecordedDraws(questions, seed)
        self._strategies = FreshStrategies()

    @property
    def typical_context(self) -> float:
        """Of a branch in the middle of its way, in tokens."""
        lengths = [b.tokens for q in self._questions for b in q.branches]
        return self.circumstances.prompt + fmean(lengths) / 2

    @property
    def longest(self) -> int:
        """Tokens of the longest branch."""
        return max(b.tokens for q in self._questions for b in q.branches)

    def fitting(self, branches: int, cache_tokens: int) -> bool:
        """Whether the KV cache holds all branches of a race of the pilot, on the average, beside
        those of other races, when they take the most of it."""
        peaks: list[float] = []
        for number in range(len(self._questions)):
            ends = sorted(b.tokens for b in self._recorded.order(number, 0)[:branches])
            peaks.append(max(end * (len(ends) - i) for i, end in enumerate(ends)))
        others = self.circumstances.others * self.typical_context
        return self.circumstances.prompt + fmean(peaks) + others <= cache_tokens

    def clock(self, candidate: Candidate, records: Sequence[RecordedBranch]) -> TokenClock:
        """How races of ``candidate`` over these branches run."""
        model, given = self.models[candidate.method], self.circumstances
        return TokenClock(
            StepRate(model.step, model.acceptance, candidate.schedule),
            [b.tokens for b in records],
            prompt=given.prompt,
            launch=given.factor * model.launch.seconds(len(records), given.prompt),
            others=given.others,
            factor=given.factor,
        )

    def estimate(self, candidate: Candidate, deadline: float) -> Estimate:
        """What ``candidate`` gives by ``deadline``, in seconds.

        Raises:
            CannotReplay: the strategy asks for what the pilot does not hold.
        """
        right: list[float] = []
        seconds: list[float] = []
        tokens = ended = 0
        for number, question in enumerate(self._questions):
            hits = 0
            for draw in range(self._draws):
                records = self._recorded.order(number, draw)[: candidate.branches]
                clock = self.clock(candidate, records)
                timing = self._timing(candidate, clock, records, deadline)
                outcome = self._race(
                    candidate.strategy, candidate.branches, number, records, timing
                )
                hits += outcome.decision.answer in question.right
                seconds.append(clock.seconds(outcome.time))
                tokens += outcome.tokens
                ended += outcome.ended
            right.append(hits / self._draws)
        races = len(seconds)
        accuracy, error = _mean_and_error(right)
        seconds.sort()
        return Estimate(
            candidate,
            deadline,
            accuracy,
            error,
            p50=quantile(seconds, 0.5),
            p95=quantile(seconds, 0.95),
            tokens=tokens / races,
            finished=ended / (races * candidate.branches),
            by_question=tuple(right),
        )

    def accuracy_by_tokens(self, strategy: StrategySpec, branches: int, tokens: float) -> float:
        """Share of the races that are called rightly if time is up when branches have generated
        ``tokens``, whatever the seconds."""
        hits = 0
        for number, question in enumerate(self._questions):
            for draw in range(self._draws):
                records = self._recorded.order(number, draw)[:branches]
                outcome = self._race(strategy, branches, number, records, Timing(deadline=tokens))
                hits += outcome.decision.answer in question.right
        return hits / (self._draws * len(self._questions))

    def reserve(self, candidate: Candidate, running: int) -> float:
        """Seconds kept for the forced answers of ``running`` branches and for the way back."""
        return HEADROOM * self._round(candidate, running) + self.circumstances.return_margin

    def _round(self, candidate: Candidate, running: int) -> float:
        if running == 0:
            return 0.0
        given = self.circumstances
        return given.factor * self.models[candidate.method].forced.seconds(running)

    def _timing(
        self,
        candidate: Candidate,
        clock: TokenClock,
        records: Sequence[RecordedBranch],
        deadline: float,
    ) -> Timing:
        """The deadline on the clock of tokens."""
        stop = max(0.0, deadline - self.circumstances.return_margin)
        stop_token = clock.tokens(stop)
        running = sum(b.tokens > stop_token for b in records)
        call = max(0.0, deadline - self.reserve(candidate, running))
        call_token = clock.tokens(call)
        forced_token = clock.tokens(call + self._round(candidate, running))
        return Timing(
            deadline=stop_token,
            reserve=stop_token - call_token,
            forced_cost=min(forced_token, stop_token) - call_token,
        )

    def _race(
        self,
        strategy: StrategySpec,
        branches: int,
        question: int,
        records: Sequence[RecordedBranch],
        timing: Timing,
    ) -> Outcome:
        made = self._strategies.create(strategy, branches, forced=self.circumstances.forced)
        lengths = self._recorded.pooled_lengths(question)
        return SimulatedRace(made, records, timing, lengths=lengths).run()


def quantile(ordered: Sequence[float], q: float) -> float:
    """Of sorted values."""
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    mean = fmean(values)
    return mean, pstdev(values, mean) / sqrt(max(1, len(values) - 1))
