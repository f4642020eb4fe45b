"""What a replay compares: strategies by name, each with a number of branches and a deadline."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from frontrunner.strategies.protocol import Strategy
from frontrunner.strategies.registry import create_strategy, parameter_names

from ..errors import BadRequest


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A strategy by name, with its parameters."""

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "StrategySpec":
        """``name`` or ``name:key=value,key=value``; numbers, true and false become values.

        Raises:
            BadRequest: it is not of this form.
        """
        name, colon, rest = text.strip().partition(":")
        parameters: dict[str, Any] = {}
        for part in rest.split(",") if colon else ():
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not key.isidentifier() or key in parameters:
                raise BadRequest(
                    f"a strategy is given as name:key=value,key=value, not as {text!r}"
                )
            parameters[key] = _value(value)
        return cls(name.strip(), tuple(parameters.items()))

    @property
    def label(self) -> str:
        """As it is given on the command line."""
        given = ",".join(f"{key}={_spelled(value)}" for key, value in self.parameters)
        return f"{self.name}:{given}" if given else self.name

    def create(self, branches: int, *, forced: bool) -> Strategy:
        """A fresh strategy for a race of ``branches`` branches.

        Raises:
            BadRequest: unknown name or parameter, or a value out of range.
        """
        for own, option in (("branches", "--branches"), ("force_answers", "--forced")):
            if own in dict(self.parameters):
                raise BadRequest(f"{self.label}: {own} is given by {option}")
        try:
            known = parameter_names(self.name)
        except KeyError:
            known = ()  # said better below
        offered = {"branches": branches, "force_answers": forced}
        ours = {key: value for key, value in offered.items() if key in known}
        try:
            return create_strategy(self.name, {**dict(self.parameters), **ours})
        except ValueError as error:
            raise BadRequest(str(error)) from error
        except TypeError as error:
            raise BadRequest(f"{self.label}: a parameter is of another type ({error})") from error


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


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
