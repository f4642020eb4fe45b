"""How a question is raced: ``[sampling] [race] [forcing] [answers] [lengths]``."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    NonNegativeInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from frontrunner.strategies.registry import create_strategy, load_plugins

from ..answers.equivalence.rules import ComparisonRules, Order, Units
from ..answers.extraction.schema import check_schema
from ..answers.registry import EXTRACTOR_PLUGINS, check_extractor
from .sections import MAY_IMPORT, Branches, Processes, Seconds, Section, Strings, Tokens, Unit

#: Strings that end a branch: all of them are looked for behind each token.
_MAX_STOPS = 1_024
Temperature = Annotated[float, Field(ge=0, le=2), Unit("temperature")]


class SamplingSettings(Section):
    """How tokens are drawn."""

    temperature: Temperature = 1.0
    """The temperature at which tokens are drawn. At 0 all branches would write the same: a race
    needs more."""
    top_p: Annotated[float, Field(gt=0, le=1), Unit("probability")] = 1.0
    """Tokens are drawn from the fewest likeliest ones that together have this probability; 1 is
    all tokens."""
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1), Unit("tokens")] = 0
    """Tokens are drawn from this many of the likeliest ones; 0 is all tokens."""
    max_tokens: Tokens = 4096
    """The longest output of one branch, its thinking included."""
    stop: Annotated[Strings, Field(max_length=_MAX_STOPS)] = ()
    """The strings that end a branch; they stay in its text."""

    @field_validator("stop")
    @classmethod
    def _are_strings(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if "" in stop:
            raise ValueError("must hold no empty string: it would end a branch where it begins")
        return stop


class RaceSettings(Section):
    """How a question is raced."""

    deadline: Seconds = 10.0
    """The time from the call until the answer is there, for calls that do not say it themselves."""
    branches: Branches = 16
    """The number of reasoning branches that a race launches, B."""
    min_branches: Branches = 1
    """The number of branches that a race can do with while others hold the engine: with fewer it
    waits, and the wait counts against its deadline. It is at most the number of branches asked
    for."""
    queue: Annotated[NonNegativeInt, Unit("races")] = 256
    """The number of races that may wait for branches, the earliest deadline first; further ones are
    refused."""
    strategy: str = "majority"
    """The strategy that runs the race and decides it, by its name; one of your own may be given as
    ``package.module:Class``."""
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The parameters of the strategy, by name; ``branches`` is not among them."""
    return_margin: Seconds = 0.03
    """The time before the deadline that is kept for aborting what still runs and handing the result
    back; up to five times as much is kept where that has taken longer of late."""
    calibration: str | None = None
    """The file of ``frontrunner calibrate --accuracy``, relative to the config file, by which a
    result says how likely its answer is right (``accuracy_estimate``). Not set: it does not, since
    its confidence only says what the model prefers."""
    max_tool_turns: Annotated[int, Field(ge=1), Unit("turns")] = 16
    """How often a branch may call tools that run on its way; a branch that calls more often is
    lost."""
    silence_factor: Annotated[float, Field(ge=0, le=1000), Unit("times")] = 3.0
    """When all branches but one have ended and there is an answer, the last one is given up as lost
    once it has said nothing for this many times the longest silence that a branch of the race had
    before a token, its first one included, and for half a second at least; the race is then decided
    by what there is. Time in which a tool runs is no silence. 0: it is waited for until the call
    time."""
    abort_limit: Seconds = 1.0
    """The time that telling the engine to abort requests may take."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "branches" in self.parameters:
            raise ValueError("branches is set in race.branches, not in race.parameters")
        if self.min_branches > self.branches:
            raise ValueError("min_branches must not exceed branches")
        if self.return_margin >= self.deadline:
            raise ValueError("return_margin must be below deadline")
        load_plugins(self.strategy, self.parameters)
        create_strategy(self.strategy, {**self.parameters, "branches": self.branches})
        return self


class ForcingSettings(Section):
    """How an unfinished branch is made to answer at the call time."""

    suffix: str | None = None
    """The text that is put behind what an unfinished branch has written, for it to go on with an
    answer of ``answers.kind``. Not set: words that say that time is up and open a slot for the kind
    of answer that is asked for, such as ``\\boxed{``; of the kinds ``code``, ``text`` and
    ``tool_call`` nothing is asked for then, and what branches have completed counts. A suffix that
    opens a box serves all kinds that may stand in one; for others it is as if it were not set. With
    an empty one nothing is asked for."""
    temperature: Temperature = 1.0
    """The temperature at which forced answers are drawn where several branches give one: guesses
    then scatter and what branches know agrees, while at 0 branches that know nothing agree on the
    commonest guess. A branch that is alone is asked for its best guess, whatever is said here."""
    max_tokens: Tokens | None = None
    """The longest forced answer; it ends as soon as nothing that follows can change it. Not set: 16
    tokens, 64 of JSON and 512 of code."""
    stop: Strings = ()
    """The strings that end a forced answer."""


class AnswerSettings(Section):
    """How an answer is found and compared."""

    kind: str = "boxed"
    """What an answer is: ``boxed``, ``last_number``, ``multiple_choice``, ``json``, ``tool_call``,
    ``code``, ``outcome`` (of an agent), ``text`` (no vote), or an extractor of your own, by its
    name or as ``package.module:attribute``."""
    pattern: str | None = None
    """The regular expression that is tried where there is no ``\\boxed{}``, with kind ``boxed``;
    its group 1 is the answer. Not set: only boxes count."""
    json_schema: dict[str, Any] | None = None
    """The JSON Schema (draft 2020-12) that an answer must satisfy, with kind ``json``; others are
    no vote. Not set: every JSON value is an answer."""
    units: Units = "drop"
    """Whether the unit of a number is dropped, as the graders of MATH and GSM8K do, or is part of
    the answer (``keep``)."""
    tolerance: Annotated[float, Field(ge=0, le=0.1), Unit("relative")] = 0.0
    """The relative difference up to which numbers are the same: 0.01 compares them by three
    significant digits, 1e-6 by seven, and 0 exactly."""
    order: Order = "brackets"
    """Where the order of a list's items counts: in ``(1, 2)`` and ``[1, 2]`` but not in ``1, 2``
    (``brackets``), ``always``, or ``never``."""
    compare_timeout: Seconds = 1.0
    """The time that reading one formula by algebra may take; what takes longer is compared by its
    spelling."""
    workers: Processes = 2
    """The number of processes that compare answers by algebra; with 0 they are compared by spelling
    and number only."""

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
    def _is_known(cls, kind: str, info: ValidationInfo) -> str:
        # A request is validated here as well, and must not make a server import what it names.
        if info.context is MAY_IMPORT:
            EXTRACTOR_PLUGINS.load(kind)
        check_extractor(kind)
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

    median: Tokens
    """The length that half of the branches stay below."""
    p95: Tokens
    """The length that 95 % of the branches stay below."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.p95 <= self.median:
            raise ValueError("p95 must exceed median")
        return self
