"""What a replay compares: strategies by name, each with a number of branches and a deadline."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from frontrunner._plugins import is_reference
from frontrunner.strategies.parameter_texts import parse_parameter, spelled
from frontrunner.strategies.protocol import Strategy
from frontrunner.strategies.registry import (
    create_strategy,
    load_plugins,
    strategy_names,
    takes_parameter,
)

from ..errors import BadRequest


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A strategy by name, with its parameters."""

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "StrategySpec":
        """``name`` or ``name:key=value,key=value``; numbers, true and false become values. The name
        may be of the form ``package.module:Class``.

        Raises:
            BadRequest: it is not of this form.
        """
        name, colon, rest = text.strip().partition(":")
        attribute, more, after = rest.partition(":")
        if name not in strategy_names() and is_reference(f"{name}:{attribute}"):
            name, colon, rest = f"{name}:{attribute}", more, after
        parameters: dict[str, Any] = {}
        for part in rest.split(",") if colon else ():
            try:
                key, value = parse_parameter(part)
            except ValueError as error:
                raise _malformed(text) from error
            if key in parameters:
                raise _malformed(text)
            parameters[key] = value
        return cls(name.strip(), tuple(parameters.items()))

    @property
    def label(self) -> str:
        """As it is given on the command line."""
        given = ",".join(f"{key}={spelled(value)}" for key, value in self.parameters)
        return f"{self.name}:{given}" if given else self.name

    def create(self, branches: int, *, forced: bool) -> Strategy:
        """A fresh strategy for a race of ``branches`` branches. What its name and its stop rule
        refer to is imported.

        Raises:
            BadRequest: unknown name or parameter, or a value out of range.
        """
        for own, option in (("branches", "--branches"), ("force_answers", "--forced")):
            if own in dict(self.parameters):
                raise BadRequest(f"{self.label}: {own} is given by {option}")
        given = dict(self.parameters)
        try:
            load_plugins(self.name, given)
            given["branches"] = branches
            if takes_parameter(self.name, "force_answers"):
                given["force_answers"] = forced
            return create_strategy(self.name, given)
        except ValueError as error:
            raise BadRequest(str(error)) from error


@dataclass(frozen=True, slots=True)
class Cell:
    """What is compared. The unit of ``deadline`` is the time of one token; infinite: none."""

    strategy: StrategySpec
    branches: int
    deadline: float = inf
    forced: bool = True


def cells_of(
    strategies: Sequence[StrategySpec],
    branches: Sequence[int],
    deadlines: Sequence[float],
    forced: Sequence[bool],
) -> list[Cell]:
    """All combinations, each once, in the order of the table."""
    return list(
        dict.fromkeys(
            Cell(strategy, b, deadline, force)
            for b in branches
            for deadline in deadlines
            for force in forced
            for strategy in strategies
        )
    )


def _malformed(text: str) -> BadRequest:
    return BadRequest(f"a strategy is given as name:key=value,key=value, not as {text!r}")
