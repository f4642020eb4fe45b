"""``frontrunner strategies``: who may decide a race, and by what."""

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, field, replace
from textwrap import wrap
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from frontrunner._plugins import is_reference
from frontrunner._suggestions import did_you_mean
from frontrunner.strategies.descriptions import arguments_of, as_written, source_of, text_of
from frontrunner.strategies.own_weights import WEIGHT_PLUGINS, weight_names
from frontrunner.strategies.parameters import parameters_of
from frontrunner.strategies.registry import (
    STRATEGY_PLUGINS,
    strategy_factory,
    strategy_names,
)
from frontrunner.strategies.stop_rules import (
    STOP_PLUGINS,
    STOP_RULES,
    stop_rule_names,
)
from frontrunner.strategies.weights import WEIGHT_NAMES, WEIGHTS

from ...errors import BadRequest
from ..common.console import plain_lines, print_json, print_lines
from ..common.output import width_of_output
from ..common.running import ExitStatus, warn
from ..options.strategies import StrategiesCommand


@dataclass(frozen=True, slots=True)
class Described:
    """A strategy, a stop rule or a weight."""

    kind: str
    """``strategy``, ``stop rule`` or ``weight``."""
    name: str
    text: str
    source: str
    offered_by: str
    """The module that it is defined in."""
    parameters: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """``name``, ``default`` (left out where it must be given) and ``meaning`` of each."""

    @property
    def summary(self) -> str:
        """Its first sentence."""
        first = self.text.split("\n\n")[0]
        return " ".join(first.split()).partition(". ")[0].rstrip(".")


def run_strategies(command: StrategiesCommand) -> int:
    """Run the command and return its exit status.

    Raises:
        BadRequest: there is none of a name, or it cannot be imported.
        OutputClosed: nobody reads standard output any more.
    """
    found = _named(command.names) if command.names else list(_all())
    if command.json:
        print_json(*({**_as_dict(each)} for each in found))
        return ExitStatus.DONE
    width = width_of_output()
    if command.names:
        for each in found:
            print_lines(_in_full(each, width))
    else:
        print_lines(plain_lines(_overview(found), width=width))
        print_lines(["frontrunner strategies NAME shows what one does, and its parameters."])
    return ExitStatus.DONE


def _all() -> Iterator[Described]:
    for name in strategy_names():
        try:
            yield _strategy(name)
        except ValueError as error:  # a package that is broken: the others are shown
            warn(str(error))
    for name in stop_rule_names():
        try:
            yield _stop_rule(name)
        except ValueError as error:
            warn(str(error))
    for name in _weights():
        try:
            yield _weight(name)
        except ValueError as error:
            warn(str(error))


def _named(names: Sequence[str]) -> list[Described]:
    found: list[Described] = []
    for name in names:
        own = [_strategy(name)] if name in strategy_names() else []
        own += [_stop_rule(name)] if name in stop_rule_names() else []
        own += [_weight(name)] if name in _weights() else []
        if not own and is_reference(name):
            own.append(_imported(name))
        if not own:
            known = list(dict.fromkeys([*strategy_names(), *stop_rule_names(), *_weights()]))
            raise BadRequest(
                f"there is no strategy, stop rule or weight {name!r}; known: {', '.join(known)}"
                f"{did_you_mean(name, known)}"
            )
        found += own
    return found


def _imported(name: str) -> Described:
    """One of a user's own: a stop rule, if it can say whether votes are settled, or a weight, if it
    can weigh them."""
    try:
        STRATEGY_PLUGINS.load(name)
        factory = strategy_factory(name)
        for method, plugins, describe in (
            ("settled", STOP_PLUGINS, _stop_rule),
            ("weight", WEIGHT_PLUGINS, _weight),
        ):
            if callable(getattr(factory, method, None)):
                STRATEGY_PLUGINS.registered.pop(name)  # it was imported as one, and is none
                plugins.load(name)
                return describe(name)
        return _strategy(name)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _strategy(name: str) -> Described:
    return _described("strategy", name, strategy_factory(name), {})


def _stop_rule(name: str) -> Described:
    known: Any = STOP_RULES
    rule = known[name] if name in known else STOP_PLUGINS.find(name)
    return _described("stop rule", name, rule, arguments_of(strategy_factory("majority")))


def _weights() -> list[str]:
    """All weights but ``auto``, which is one of the others."""
    return [name for name in weight_names() if name in WEIGHTS or name not in WEIGHT_NAMES]


def _weight(name: str) -> Described:
    majority = strategy_factory("majority")
    if name not in WEIGHTS:
        return _described("weight", name, WEIGHT_PLUGINS.find(name), {})
    described = _described("weight", name, WEIGHTS[name], arguments_of(majority))
    # With their defaults, which the strategy has.
    own = {parameter["name"] for parameter in described.parameters} - {"branches"}
    known = _described("strategy", "majority", majority, {}).parameters
    return replace(described, parameters=[each for each in known if each["name"] in own])


def _described(kind: str, name: str, factory: Any, shared: dict[str, str]) -> Described:
    meanings = {**shared, **arguments_of(factory)}
    parameters: list[dict[str, Any]] = []
    for parameter in (parameters_of(factory) or {}).values():
        said: dict[str, Any] = {"name": parameter.name}
        if parameter.default is not MISSING:
            said["default"] = as_written(parameter.default)
        parameters.append({**said, "meaning": meanings.get(parameter.name, "")})
    text = text_of(factory).removeprefix(f"``{name}``: ").replace("``", "`")
    module = str(getattr(factory, "__module__", ""))
    return Described(kind, name, text, source_of(factory), module, parameters)


# ── showing ───────────────────────────────────────────────────────────────────────────────────


def _as_dict(each: Described) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "name": each.name,
        "summary": each.summary,
        "source": each.source,
        "module": each.offered_by,
        "parameters": each.parameters,
    }


def _overview(found: Sequence[Described]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("name", no_wrap=True)
    for name in ("what it does", "parameters", "source"):
        table.add_column(name, overflow="fold")
    for each in found:
        parameters = ", ".join(_assigned(parameter) for parameter in each.parameters)
        summary = each.summary[:1].upper() + each.summary[1:]
        table.add_row(each.kind, each.name, Text(summary), Text(parameters), Text(each.source))
    return table


def _in_full(each: Described, width: int) -> Iterator[str]:
    yield f"{each.name} ({each.kind}, {each.offered_by})"
    for paragraph in each.text.split("\n\n"):
        yield ""
        yield from wrap(paragraph, width)
    if each.parameters:
        yield ""
        yield "parameters:"
    for parameter in each.parameters:
        meaning = f"{_assigned(parameter)}: {parameter['meaning']}".rstrip(": ")
        yield from wrap(meaning, width, initial_indent="  ", subsequent_indent="      ")
    yield ""


def _assigned(parameter: dict[str, Any]) -> str:
    """``name=default``; a name alone must be given."""
    if "default" not in parameter:
        return str(parameter["name"])
    value = parameter["default"]
    told = str(value).lower() if isinstance(value, bool) else str(value)
    return f"{parameter['name']}={'not set' if value is None else told}"
