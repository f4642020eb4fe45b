"""What may be asked of a server: its strategies with their parameters, its defaults and limits."""

from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from aiohttp import web

from frontrunner.strategies.protocol import needs_of
from frontrunner.strategies.registry import create_strategy, parameter_names, strategy_names

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
        made = create_strategy(name, {})
    except (TypeError, ValueError):  # a registered one that cannot do without parameters
        return {"name": name, "summary": "", "available": True, "parameters": []}
    summary = (type(made).__doc__ or "").strip().partition("\n")[0]
    return {
        "name": name,
        "summary": summary,
        "available": has_rewards or not needs_of(made).rewards,
        "parameters": _parameters(name, type(made)),
    }


def _parameters(name: str, factory: Any) -> list[dict[str, Any]]:
    # The number of branches is a field of the request itself.
    names = [parameter for parameter in parameter_names(name) if parameter != "branches"]
    if not names:
        return []
    types = get_type_hints(factory)
    defaults = {field.name: field.default for field in fields(factory)}
    return [_parameter(key, types[key], defaults[key]) for key in names]


def _parameter(name: str, of: Any, default: Any) -> dict[str, Any]:
    if isinstance(of, UnionType):  # "or None": it may be left out
        of = next(kind for kind in get_args(of) if kind is not NoneType)
    told = {"name": name, "default": None if default is MISSING else default}
    if get_origin(of) is Literal:
        return {**told, "kind": "choice", "choices": list(get_args(of))}
    return {**told, "kind": _KINDS.get(of, "text")}
