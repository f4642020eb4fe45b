"""How a question is raced: ``[sampling] [race] [forcing] [answers] [lengths]``."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from frontrunner.strategies.registry import create_strategy

from ..answers.equivalence.rules import ComparisonRules, Order, Units
from ..answers.extraction.schema import check_schema
from ..answers.registry import extractor_names
from .sections import Section, Strings


class SamplingSettings(Section):
    """How tokens are drawn."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: NonNegativeInt = 0
    """0: all."""
    max_tokens: PositiveInt = 4096
    """Of one branch."""
    stop: Strings = ()


class RaceSettings(Section):
    """How a question is raced."""

    deadline: PositiveFloat = 10.0
    """Seconds; what a call does not say itself."""
    branches: PositiveInt = 16
    min_branches: PositiveInt = 1
    """Branches that a race can do with while others hold the engine's: with fewer it waits. It is
    at most the number of branches asked for."""
    queue: NonNegativeInt = 256
    """Races that may wait for branches, the earliest deadline first; further ones are refused."""
    strategy: str = "majority"
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Of the strategy."""
    return_margin: PositiveFloat = 0.03
    """Seconds kept for aborting what still runs and handing the result back, at least: up to five
    times as many where that has taken longer of late (``runtime.reserve``)."""
    abort_limit: PositiveFloat = 1.0
    """Seconds that telling the engine to abort may take."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "branches" in self.parameters:
            raise ValueError("branches is set in race.branches, not in race.parameters")
        if self.min_branches > self.branches:
            raise ValueError("min_branches must not exceed branches")
        if self.return_margin >= self.deadline:
            raise ValueError("return_margin must be below deadline")
        create_strategy(self.strategy, {**self.parameters, "branches": self.branches})
        return self


class ForcingSettings(Section):
    """How an unfinished branch is made to answer at the call time."""

    suffix: str = "\n\nTime is up. The final answer is \\boxed{"
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Of forced answers where several branches give one: drawn, guesses scatter and what branches
    know agrees; taken greedily, branches that know nothing agree on the commonest guess. A branch
    that is alone is asked for its best guess, whatever is said here."""
    max_tokens: PositiveInt = 16
    stop: Strings = ()


class AnswerSettings(Section):
    """How an answer is found and compared."""

    kind: str = "boxed"
    """What an answer is: ``boxed``, ``last_number``, ``multiple_choice``, ``json``, ``tool_call``,
    ``code``, ``text`` (no vote), or one registered with ``register_extractor``."""
    pattern: str | None = None
    """Regular expression tried where there is no ``\\boxed{}``; group 1 is the answer."""
    json_schema: dict[str, Any] | None = None
    """JSON Schema (draft 2020-12) that an answer must satisfy; others are no vote (``json``)."""
    units: Units = "drop"
    """Whether the unit of a number is dropped, as the graders of MATH and GSM8K do, or is part of
    the answer (``keep``)."""
    tolerance: Annotated[float, Field(ge=0, le=0.1)] = 0.0
    """Relative; 0.01 compares numbers by three significant digits, 1e-6 by seven. 0: exactly."""
    order: Order = "brackets"
    """Where the order of a list's items counts: in ``(1, 2)`` and ``[1, 2]`` but not in ``1, 2``
    (``brackets``), ``always``, or ``never``."""
    compare_timeout: PositiveFloat = 1.0
    """Seconds that reading one formula by algebra may take."""
    workers: NonNegativeInt = 2
    """Processes that compare answers by algebra. 0: by spelling and number only."""

    @property
    def rules(self) -> ComparisonRules:
        """How answers are compared."""
        return ComparisonRules(self.units, self.tolerance, self.order)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            check_schema(schema)
        return schema

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in extractor_names():
            raise ValueError(f"unknown kind {kind!r}; known: {', '.join(extractor_names())}")
        return kind

    @field_validator("pattern", "json_schema")
    @classmethod
    def _belongs(cls, value: Any, info: ValidationInfo) -> Any:
        # Only what is given is validated: a default never comes here.
        kind = info.data.get("kind")
        wanted = "boxed" if info.field_name == "pattern" else "json"
        if value is not None and kind is not None and kind != wanted:
            raise ValueError(f'has no meaning with answers.kind "{kind}"')
        return value


class LengthSettings(Section):
    """What is known about how long branches get, in tokens; it improves with every race."""

    median: PositiveInt
    p95: PositiveInt

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.p95 <= self.median:
            raise ValueError("p95 must exceed median")
        return self
