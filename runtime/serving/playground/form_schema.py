"""What may be asked of a server: its strategies with their parameters, its defaults and limits."""

from dataclasses import MISSING
from types import NoneType
from typing import Any, Final, get_args

from aiohttp import web

from frontrunner.strategies.parameters import Parameter
from frontrunner.strategies.protocol import needs_of
from frontrunner.strategies.registry import create_strategy, strategy_names, strategy_parameters

from ..app_keys import RUNTIME, served_model

_KINDS: Final = {bool: "switch", int: "integer", float: "number", str: "text"}


def offer(app: web.Application) -> dict[str, Any]:
    """
    ::

        {"model": …,
         "defaults": {"deadline": seconds, "branches": …, "strategy": …, "parameters": {…}},
         "limits": {"deadline": seconds, "branches": …},
         "strategies": [{"name": …, "summary": …, "available": …, "parameters":
             [{"name": …, "kind": "integer" | "number" | "switch" | "text" | "choice",
               "default": …, "choices": […]}]}]}
    """
    runtime = app[RUNTIME]
    race = runtime.settings.race
    return {
        "model": served_model(app),
        "defaults": {
            "deadline": race.deadline,
            "branches": race.branches,
            "strategy": race.strategy,
            "parameters": race.parameters,
        },
        "limits": {
            "deadline": runtime.settings.server.max_deadline,
            "branches": runtime.engine.info.max_branches,
        },
        "strategies": [_strategy(name, runtime.rewards is not None) for name in strategy_names()],
    }


def _strategy(name: str, has_rewards: bool) -> dict[str, Any]:
    try:
        parameters = strategy_parameters(name)
        made = create_strategy(name, {})
    except ValueError:  # of an installed package that is broken, or one that needs parameters
        return {"name": name, "summary": "", "available": True, "parameters": []}
    summary = (type(made).__doc__ or "").strip().partition("\n")[0]
    return {
        "name": name,
        "summary": summary,
        "available": has_rewards or not needs_of(made).rewards,
        # The number of branches is a field of the request itself.
        "parameters": [_parameter(p) for p in parameters if p.name != "branches"],
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    default = None if parameter.default is MISSING else parameter.default
    told = {"name": parameter.name, "default": default}
    choices = parameter.choices
    if choices is not None:
        return {**told, "kind": "choice", "choices": list(choices)}
    kinds = [kind for kind in get_args(parameter.type) if kind is not NoneType]
    # "Or None": it may be left out.
    of = kinds[0] if kinds else parameter.type
    return {**told, "kind": _KINDS.get(of, "text")}
