"""Strategies by name, with their parameters checked.

Besides those that are built in there are a user's own: registered with ``register_strategy``,
offered by an installed package in the entry points ``frontrunner.strategies``, or named as
``package.module:Class`` in the config or on the command line.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from frontrunner._plugins import Plugins, accept_callable

from .beam import Beam, Dvts
from .best_of_n import BestOfN
from .budget_forcing import BudgetForcing
from .confidence import Confidence
from .first_to_m import FirstToM
from .majority import Majority
from .own_weights import WEIGHT_PLUGINS
from .parameters import Parameter, make, parameters_of
from .particle import ParticleFilter
from .probe import Probing
from .protocol import Strategy
from .prune import Prune
from .single import Single
from .stop_rules import STOP_PLUGINS
from .weighted import Weighted

_STRATEGIES: Final[dict[str, Callable[..., Strategy]]] = {
    "single": Single,
    "budget_forcing": BudgetForcing,
    "majority": Majority,
    "first_to_m": FirstToM,
    "confidence": Confidence,
    "weighted": Weighted,
    "best_of_n": BestOfN,
    "prune": Prune,
    "beam": Beam,
    "dvts": Dvts,
    "particle": ParticleFilter,
    "probe": Probing,
}
#: What a strategy must be able to do.
_METHODS: Final = ("start", "observe", "conclude")


STRATEGY_PLUGINS: Final = Plugins[Callable[..., Strategy]](
    "strategy",
    "frontrunner.strategies",
    _STRATEGIES,
    accept_callable("a class or a function that makes strategies"),
)


def strategy_names() -> tuple[str, ...]:
    """The names of all strategies, those of installed packages among them; nothing is imported."""
    return STRATEGY_PLUGINS.names()


def register_strategy(name: str, factory: Callable[..., Strategy]) -> None:
    """Make ``factory(**parameters)`` available under ``name`` in this process.

    A replay carries it to its worker processes, if it is a class or a function of a module.

    Args:
        factory: most often a dataclass: its fields are the parameters that the config and the
            command line may give. One of them is ``branches``, the most that it may launch.

    Raises:
        ValueError: if the name is taken.
        TypeError: if it cannot be called.
    """
    STRATEGY_PLUGINS.register(name, factory)


def load_plugins(name: str, parameters: Mapping[str, Any]) -> None:
    """Import the strategy, the stop rule and the weight that are named as ``package.module:Class``.

    For names that the config or the command line gives. Never call it with those of a request: it
    imports whatever module they name.

    Raises:
        ValueError: one cannot be imported.
    """
    STRATEGY_PLUGINS.load(name)
    for key, plugins in (("stop", STOP_PLUGINS), ("weight", WEIGHT_PLUGINS)):
        part = parameters.get(key)
        if isinstance(part, str):
            plugins.load(part)


def create_strategy(name: str, parameters: Mapping[str, Any]) -> Strategy:
    """A fresh strategy for one race. It imports no module that ``name`` or ``parameters`` name.

    Raises:
        ValueError: unknown name, unknown parameter, one that is missing or out of range, or a
            factory that failed.
    """
    factory = strategy_factory(name)
    known = parameters_of(factory)
    if known is not None and "branches" in parameters and "branches" not in known:
        raise ValueError(
            f"{name} needs a parameter branches, the number of branches that it may launch"
        )
    gather = getattr(factory, "gathered", None)
    made = make(name, factory, parameters if gather is None else gather(name, parameters))
    missing = [method for method in _METHODS if not callable(getattr(made, method, None))]
    if missing:
        raise ValueError(f"{name} is no strategy: it has no method {missing[0]}")
    return made


def merge_parameters(
    name: str, given: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """``given`` with ``changes`` made to it, as where a caller changes what a config says.

    What the changes leave without a meaning is dropped from ``given`` (the config's
    ``max_flip_risk``, say, where the caller wants to wait for all), but never from ``changes``:
    that ``create_strategy`` refuses.
    """
    merged = {**given, **changes}
    try:
        idle = getattr(strategy_factory(name), "idle_parameters", None)
    except ValueError:  # whoever makes the strategy says it
        idle = None
    dropped = (idle(merged) if idle is not None else frozenset[str]()) - set(changes)
    return {key: value for key, value in merged.items() if key not in dropped}


def parameter_names(name: str) -> tuple[str, ...]:
    """The names of the parameters of a strategy; empty for one that takes any.

    Raises:
        ValueError: unknown name.
    """
    return tuple(parameter.name for parameter in strategy_parameters(name))


def strategy_parameters(name: str) -> tuple[Parameter, ...]:
    """The parameters of a strategy, with types and defaults; empty for one that takes any.

    Raises:
        ValueError: unknown name.
    """
    return tuple((parameters_of(strategy_factory(name)) or {}).values())


def takes_parameter(name: str, parameter: str) -> bool:
    """Whether a strategy has this parameter; false for one that takes any, which names none.

    Raises:
        ValueError: unknown name.
    """
    return parameter in (parameters_of(strategy_factory(name)) or {})


def strategy_factory(name: str) -> Callable[..., Strategy]:
    """What makes a strategy of this name.

    Raises:
        ValueError: unknown name.
    """
    built_in = _STRATEGIES.get(name)
    return STRATEGY_PLUGINS.find(name) if built_in is None else built_in


# ── in another process ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Registrations:
    """What this process has registered, for another one."""

    strategies: Mapping[str, bytes]
    stop_rules: Mapping[str, bytes]
    weights: Mapping[str, bytes]

    @classmethod
    def of(cls, used: Iterable[tuple[str, Mapping[str, Any]]]) -> "Registrations":
        """
        Args:
            used: the strategies that the other process is going to make, with their parameters.

        Raises:
            ValueError: one of them is registered with something that cannot be sent.
        """
        names: set[str] = set()
        stops: set[str] = set()
        weights: set[str] = set()
        for name, parameters in used:
            names.add(name)
            stops.add(str(parameters.get("stop")))
            weights.add(str(parameters.get("weight")))
        return cls(
            STRATEGY_PLUGINS.carried(names),
            STOP_PLUGINS.carried(stops),
            WEIGHT_PLUGINS.carried(weights),
        )

    def receive(self) -> None:
        """Register it all here."""
        STRATEGY_PLUGINS.receive(self.strategies)
        STOP_PLUGINS.receive(self.stop_rules)
        WEIGHT_PLUGINS.receive(self.weights)
