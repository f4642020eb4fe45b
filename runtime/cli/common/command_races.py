"""What one command runs: the options of its races, checked before an engine starts, and the races
one after another."""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from frontrunner.strategies.parameter_texts import parse_parameter
from frontrunner.strategies.protocol import needs_of

from ...errors import BadBranches, BadDeadline, BadRequest, DeadlineTooShort
from ...events.types import Event, RaceDecided
from ...result import Result
from .questions import Asked

if TYPE_CHECKING:
    # Not to be imported where a server races: they take longer than its answer.
    from ...answers import Equivalence
    from ...config import Settings


class Races(Protocol):
    """Who races questions: a ``Runtime``, or a server's client."""

    def stream(
        self, question: Any, /, **options: Any
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """See ``Runtime.stream``."""
        ...


@dataclass(frozen=True, slots=True)
class RaceOptions:
    """What a command says about its races; None: as in the settings."""

    deadline: float | None = None  # seconds
    branches: int | None = None
    seed: int | None = None
    strategy: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])

    def check(self, settings: "Settings", *, own_rewards: bool = True) -> None:
        """Find what is wrong without an engine, so that nobody waits for one in vain.

        Args:
            own_rewards: a reward model may come from elsewhere than the settings.

        Raises:
            BadRequest: what ``Runtime.solve`` would raise, if it can be known already.
        """
        from frontrunner.strategies.registry import (
            create_strategy,
            load_plugins,
            merge_parameters,
        )

        deadline = settings.race.deadline if self.deadline is None else self.deadline
        if not math.isfinite(deadline) or deadline <= 0:
            raise BadDeadline(deadline)
        if deadline <= settings.race.return_margin:
            raise DeadlineTooShort(deadline, settings.race.return_margin)
        branches = settings.race.branches if self.branches is None else self.branches
        if not 1 <= branches <= settings.engine.max_branches:
            raise BadBranches(branches, settings.engine.max_branches)
        if "branches" in self.parameters:
            raise BadRequest("--param branches=…: use --branches")
        name = self.strategy or settings.race.strategy
        given = settings.race.parameters if name == settings.race.strategy else {}
        try:
            load_plugins(name, self.parameters)  # from the command line, they may be imported
            asked = {**self.parameters, "branches": branches}
            made = create_strategy(name, merge_parameters(name, given, asked))
        except ValueError as error:
            raise BadRequest(str(error)) from error
        if not own_rewards and settings.rewards.kind == "none" and needs_of(made).rewards:
            raise BadRequest(f"{name} needs a reward model: set [rewards] in the config")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One race of a command. ``correct`` is None if the answer is not known."""

    index: int
    asked: Asked
    result: Result
    correct: bool | None = None

    @property
    def in_time(self) -> bool:
        return self.result.elapsed <= self.result.deadline


class Display:
    """Who shows races, one after another; this one shows nothing."""

    def race(self, index: int, asked: Asked) -> AbstractContextManager[None]:
        """Around one race."""
        return nullcontext()

    async def happened(self, index: int, event: Event) -> None:
        """Show an event. May take its time: the race does not wait."""

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        """Show how a race ended, after the block of ``race``; ``event`` was its last."""

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        """The engine's model cannot take this question."""


async def run_race(
    races: Races,
    index: int,
    asked: Asked,
    options: RaceOptions,
    display: Display,
    equivalence: "Equivalence | None",
) -> Outcome:
    """Race one question before the eyes of ``display``.

    Args:
        equivalence: says whether an answer is the right one; None: no answer is known.

    Raises:
        BadRequest: the question cannot be raced.

    Cancelling it aborts every branch.
    """
    decided: RaceDecided | None = None
    with display.race(index, asked):
        async with races.stream(
            asked.question,
            deadline=options.deadline,
            branches=options.branches,
            seed=options.seed,
            strategy=options.strategy,
            parameters=options.parameters,
        ) as events:
            async for event in events:
                if isinstance(event, RaceDecided):
                    decided = event
                await display.happened(index, event)
    assert decided is not None, "a race ends with RaceDecided"
    correct = None
    if asked.answer is not None and equivalence is not None:
        answer = decided.result.answer
        correct = answer is not None and await equivalence.same(answer, asked.answer)
    outcome = Outcome(index, asked, decided.result, correct)
    await display.decided(outcome, decided)
    return outcome


async def run_races(
    races: Races,
    questions: Sequence[Asked],
    options: RaceOptions,
    display: Display,
    equivalence: "Equivalence | None",
    *,
    is_over: Callable[[], bool] = lambda: False,
) -> tuple[list[Outcome], list[BadRequest]]:
    """Race questions one after another; those that cannot be raced are refused, and the rest goes
    on.

    Args:
        is_over: whether no further race is to be begun: the engine has died.

    Raises:
        BadRequest: none of them can be raced, because of the options.

    Cancelling it aborts every branch.
    """
    outcomes: list[Outcome] = []
    refusals: list[BadRequest] = []
    for index, asked in enumerate(questions):
        try:
            outcomes.append(await run_race(races, index, asked, options, display, equivalence))
        except (BadBranches, BadDeadline, DeadlineTooShort):
            raise  # the others would be refused as well
        except BadRequest as error:
            refusals.append(error)
            await display.refused(index, asked, error)
        if is_over():
            break
    return outcomes, refusals


def load_settings(config: Path | None, sets: Sequence[str] | None = None) -> "Settings":
    """The settings of a file, with what the environment and ``sets`` say; None: those of the file
    that ``FRONTRUNNER_CONFIG`` names, or of the demo, which ship inside the package.

    Raises:
        ConfigError: naming the file and the key.
    """
    from ...config import Settings

    return Settings.load(config, sets=sets or ())


def read_parameters(given: Sequence[str]) -> dict[str, Any]:
    """``key=value`` texts as parameters of a strategy; numbers, true and false become values.

    Raises:
        BadRequest: one is not of this form, or comes twice.
    """
    parameters: dict[str, Any] = {}
    for text in given:
        try:
            key, value = parse_parameter(text)
        except ValueError as error:
            raise BadRequest(
                f"--param takes key=value, as in --param min_votes=4, not {text!r}"
            ) from error
        if key in parameters:
            raise BadRequest(f"--param {key} is given twice")
        parameters[key] = value
    return parameters
