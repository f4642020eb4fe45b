"""A trial of a config: three questions whose answers are known, raced without hurry and against a
short deadline, to see whether branches answer in the form that is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from frontrunner.strategies.protocol import BranchStatus

from ...answers import Equivalence
from ...config import DEMO_MODELS, Settings
from ...demo.problems import problems
from ...errors import DeadlineTooShort
from ...events.types import BranchEnded, RaceDecided
from ...result import BranchReport, Result
from ...runtime import Runtime
from .questions import Asked

#: Branches of a race of the trial at most, and seconds that a race without hurry may take.
_BRANCHES: Final = 16
_UNHURRIED: Final = 60.0
#: The short deadline, in medians of what branches took without hurry.
_HURRY: Final = 0.5
#: How often a deadline that is too short for the engine is doubled.
_DOUBLINGS: Final = 6
#: The kinds of answers that the questions can be asked for.
KINDS: Final = ("boxed", "last_number", "multiple_choice")
_QUESTIONS: Final = (
    ("Anna has 7 pencils and gets 5 more. How many pencils does she have now?",
     "12", "A) 2 B) 12 C) 14 D) 35", "B"),
    ("Nora reads 12 pages every day. How many pages does she read in 5 days?",
     "60", "A) 17 B) 50 C) 60 D) 125", "C"),
    ("A baker has 24 rolls. He sells 9 of them and then bakes 6 more. How many rolls does he have "
     "now?", "21", "A) 21 B) 15 C) 27 D) 39", "A"),
)  # fmt: skip

#: Hears how far a trial is: what is being done, and the share of it that is done.
Told = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """What was raced, and how it went."""

    kind: str
    """The kind of answers that was asked for."""
    questions: tuple[Asked, ...]
    unhurried: tuple[Result, ...]
    """A race of each question in which every branch may end by itself."""
    hurried: tuple[Result, ...] = ()
    """A race of each, against a deadline that lets few end. Empty: no branch ended, or the engine
    failed."""
    right: frozenset[tuple[int, str]] = field(default_factory=frozenset[tuple[int, str]])
    """The right answers among all that were given, each with the place of its question."""

    @property
    def branches(self) -> list[BranchReport]:
        """Those of the races without hurry that the engine did not lose."""
        return [
            branch
            for result in self.unhurried
            for branch in result.branches
            if branch.status is not BranchStatus.FAILED
        ]

    @property
    def ended(self) -> list[BranchReport]:
        """Those that ended by themselves."""
        return [branch for branch in self.branches if ended(branch)]

    @property
    def answered(self) -> list[BranchReport]:
        """Those that ended by themselves with an answer in the form that was asked for."""
        return [branch for branch in self.ended if branch.answer is not None]

    @property
    def answered_share(self) -> float:
        """Of all branches, from 0 to 1."""
        return len(self.answered) / len(self.branches) if self.branches else 0.0

    @property
    def forced(self) -> list[BranchReport]:
        """Those of all races that were forced to answer."""
        return [
            branch
            for result in (*self.unhurried, *self.hurried)
            for branch in result.branches
            if branch.forced_at is not None or branch.forced
        ]

    def is_right(self, question: int, answer: str | None) -> bool:
        """Whether an answer to a question, by its place, is right."""
        return answer is not None and (question, answer) in self.right

    def right_branches(self, results: Sequence[Result], *, forced: bool) -> tuple[int, int]:
        """The number of branches that were right, and of those that gave an answer: forced ones,
        or those that ended by themselves."""
        given = [
            (question, branch.answer)
            for question, result in enumerate(results)
            for branch in result.branches
            if branch.answer is not None and (branch.forced if forced else ended(branch))
        ]
        return sum(self.is_right(*answer) for answer in given), len(given)


def ended(branch: BranchReport) -> bool:
    """Whether a branch ended by itself: neither cut at its token limit nor by the deadline."""
    return (
        branch.status is BranchStatus.FINISHED
        and not branch.truncated
        and not branch.forced
        and branch.forced_at is None
    )


def trial_questions(settings: Settings, kind: str) -> tuple[Asked, ...]:
    """Three questions that the configured model may know. The demo's model knows problems of its
    own making only."""
    if settings.engine.kind == "vllm" and settings.engine.model in DEMO_MODELS:
        return tuple(
            Asked(problem.question, str(problem.answer))
            for level in (2, 4, 6)
            for problem in [next(problems("select", level, seed=level))]
        )
    if kind == "multiple_choice":
        return tuple(Asked(f"{said} {options}", letter) for said, _, options, letter in _QUESTIONS)
    return tuple(Asked(said, number) for said, number, *_ in _QUESTIONS)


def quiet(settings: Settings) -> Settings:
    """``settings`` without warnings of single races, of which a trial tells itself."""
    if settings.log.level != "warning":
        return settings
    return settings.model_copy(update={"log": settings.log.model_copy(update={"level": "error"})})


async def first_race(runtime: Runtime, told: Told) -> Trial:
    """A trial of one race without hurry, for what must be known before the others.

    Raises:
        BadRequest, EngineError: as ``run_trial``.

    Cancelling it aborts every branch.
    """
    kind = runtime.settings.answers.kind
    asked = trial_questions(runtime.settings, kind)[:1]
    deadline = _unhurried(runtime)
    result = await _race(runtime, asked[0], kind, deadline, told, "a first race", 0)
    return Trial(kind, asked, (result,))


async def run_trial(
    runtime: Runtime, told: Told, kind: str | None = None, *, begun: Trial | None = None
) -> Trial:
    """Race the questions of a trial.

    Args:
        runtime: entered.
        told: hears how far it is.
        kind: of answers; None: that of the settings.
        begun: what was raced already, which is not raced again if its kind is the same.

    Raises:
        BadRequest: the config's own options cannot be raced.
        EngineError: the engine failed.

    Cancelling it aborts every branch.
    """
    settings = runtime.settings
    kind = kind or settings.answers.kind
    questions = trial_questions(settings, kind)
    unhurried = list(begun.unhurried) if begun is not None and begun.kind == kind else []
    for place in range(len(unhurried), len(questions)):
        title = f"race {place + 1} of {2 * len(questions)}, without hurry"
        asked, deadline = questions[place], _unhurried(runtime)
        unhurried.append(await _race(runtime, asked, kind, deadline, told, title, place))
    trial = Trial(kind, questions, tuple(unhurried))
    hurried: list[Result] = []
    seconds = [branch.seconds for branch in trial.branches]
    deadline = max(_HURRY * median(seconds), 2 * settings.race.return_margin) if seconds else 0.0
    for place, asked in enumerate(questions if seconds else ()):
        title = f"race {len(questions) + place + 1} of {2 * len(questions)}, by a short deadline"
        for _ in range(_DOUBLINGS):
            try:
                hurried.append(await _race(runtime, asked, kind, deadline, told, title, place))
                break
            except DeadlineTooShort:
                deadline *= 2
    right = await _right(questions, unhurried, hurried)
    return Trial(kind, questions, tuple(unhurried), tuple(hurried), right)


def _unhurried(runtime: Runtime) -> float:
    return max(runtime.settings.race.deadline, _UNHURRIED)


async def _race(
    runtime: Runtime,
    asked: Asked,
    kind: str,
    deadline: float,
    told: Told,
    title: str,
    seed: int,
) -> Result:
    race, ended = runtime.settings.race, 0
    branches = min(race.branches, _BRANCHES)
    told(title, 0.0)
    async with runtime.stream(
        asked.question,
        deadline=deadline,
        branches=branches,
        seed=seed,
        strategy="majority",
        parameters={"stop": "none"},
        answers=None if kind == runtime.settings.answers.kind else {"kind": kind},
    ) as events:
        async for event in events:
            if isinstance(event, RaceDecided):
                if runtime.engine.failure is not None:
                    raise runtime.engine.failure
                return event.result
            if isinstance(event, BranchEnded):
                ended += 1
                told(title, min(1.0, ended / branches))
    raise AssertionError("a race ends with RaceDecided")


async def _right(
    questions: Sequence[Asked],
    unhurried: Sequence[Result],
    hurried: Sequence[Result],
) -> frozenset[tuple[int, str]]:
    equivalence = Equivalence(None)
    given = {
        (place, answer)
        for results in (unhurried, hurried)
        for place, result in enumerate(results)
        for answer in (result.answer, *(branch.answer for branch in result.branches))
        if answer is not None
    }
    return frozenset(
        [
            (place, answer)
            for place, answer in given
            if await equivalence.same(answer, questions[place].answer or "")
        ]
    )
