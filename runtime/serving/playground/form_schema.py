"""What may be asked of a server: its strategies with their parameters, its defaults and limits."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING
from types import NoneType
from typing import Any, Final, get_args

from aiohttp import web

from frontrunner.strategies.descriptions import arguments_of, as_written
from frontrunner.strategies.parameters import Parameter
from frontrunner.strategies.protocol import needs_of
from frontrunner.strategies.registry import create_strategy, strategy_names, strategy_parameters

from ...answers.registry import extractor_names
from ...rewards import RewardModel
from ...rewards.protocol import SupportsComparison
from ..app_keys import RUNTIME, served_model

_KINDS: Final = {bool: "switch", int: "integer", float: "number", str: "text"}
#: "of `beta` and `dirichlet`: …" has a meaning with these choices only.
_OF: Final = re.compile(r"of (`[^:]*`): ")
#: Kinds of answers that need more than their name.
_NEED_MORE: Final = ("tool_call",)


def offer(app: web.Application) -> dict[str, Any]:
    """
    ::

        {"model": …,
         "defaults": {"deadline": seconds, "branches": …, "strategy": …, "parameters": {…},
                      "temperature": …, "answers": kind},
         "limits": {"deadline": seconds, "branches": …},
         "answers": [kind, …],
         "strategies": [{"name": …, "summary": …, "needs": what it lacks | None, "parameters":
             [{"name": …, "kind": "integer" | "number" | "switch" | "text" | "choice",
               "default": …, "choices": […], "about": what it means,
               "of": [choice of another parameter with which it has a meaning, …]}]}]}
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
            "temperature": runtime.settings.sampling.temperature,
            "answers": runtime.settings.answers.kind,
        },
        "limits": {
            "deadline": runtime.settings.server.max_deadline,
            "branches": runtime.engine.info.max_branches,
        },
        "answers": [kind for kind in extractor_names() if kind not in _NEED_MORE],
        "strategies": [_strategy(name, runtime.rewards) for name in strategy_names()],
    }


def _strategy(name: str, rewards: RewardModel | None) -> dict[str, Any]:
    try:
        parameters = strategy_parameters(name)
        made = create_strategy(name, {})
    except ValueError:  # of an installed package that is broken, or one that needs parameters
        return {"name": name, "summary": "", "needs": None, "parameters": []}
    about = arguments_of(type(made))
    return {
        "name": name,
        "summary": _summary(type(made)),
        "needs": lacking(rewards) if needs_of(made).rewards else None,
        # The number of branches is a field of the request itself.
        "parameters": [_parameter(p, about) for p in parameters if p.name != "branches"],
    }


def lacking(rewards: RewardModel | None) -> str | None:
    """What is missing for a strategy that scores each branch where answers are voted on; None:
    nothing."""
    if rewards is None:
        return "a reward model"
    if isinstance(rewards, SupportsComparison):
        return "scores of single branches; the judge here compares replies"
    return None


def _summary(factory: Any) -> str:
    """The first paragraph of its docstring, as plain text."""
    paragraph = (inspect.getdoc(factory) or "").split("\n\n", 1)[0]
    return " ".join(paragraph.split()).replace("``", "")


def _parameter(parameter: Parameter, meanings: Mapping[str, str]) -> dict[str, Any]:
    default = None if parameter.default is MISSING else parameter.default
    meaning = meanings.get(parameter.name, "")
    of = _OF.match(meaning)
    choices = [] if of is None else re.findall(r"`(?:\w+=)?\"?(\w+)\"?`", of[1])
    about = meaning[of.end() :] if choices and of else meaning
    told = {
        "name": parameter.name,
        "default": as_written(default),
        "about": about.replace("`", ""),
        "of": choices,
    }
    choices = parameter.choices
    if choices is not None:
        return {**told, "kind": "choice", "choices": list(choices)}
    kinds = [kind for kind in get_args(parameter.type) if kind is not NoneType]
    # "Or None": it may be left out.
    of = kinds[0] if kinds else parameter.type
    return {**told, "kind": _KINDS.get(of, "text")}
