"""Races whose branches run tools on their way: which these are, and how they are read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ..answers.combined import read_calls
from ..answers.registry import Finder
from ..engines.protocol import Engine, takes_tool_turns
from ..errors import BadRequest
from ..prompts.tool_choice import ToolUse, tool_name
from ..racing.spec import Forcing, RaceSpec, Suffix
from .race_calls import RaceCalls, Start
from .tool_engine import RaceTools, ToolEngine, last_turn
from .tools import Tool


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """The tools of a race whose branches run some."""

    tools: Mapping[str, Tool]
    """Those that branches run on their way, by name."""
    offered: Sequence[Mapping[str, Any]]
    """All that the model is shown."""
    template: Mapping[str, Any]
    """Variables of the chat template."""
    several: bool = True
    """Whether a turn may make several calls; else its first one counts."""

    def engine(self, engine: Engine, began: float, max_turns: int, start: Start) -> ToolEngine:
        """The engine of one race, on that of its runtime."""
        race = RaceTools(self.tools, self.offered, RaceCalls(start), began, max_turns)
        race.template, race.several = self.template, self.several
        return ToolEngine(engine, race)


def with_tools(
    spec: RaceSpec, use: ToolUse, engine: Engine, template: Mapping[str, Any]
) -> tuple[RaceSpec, ToolOffer | None]:
    """``spec`` as it is to be where its branches run tools; and these, if they do.

    Raises:
        BadRequest: two tools are called the same.
    """
    tools = tools_on_the_way(use, engine)
    if not tools:
        return spec, None
    return reading_last_turns(spec, tools), ToolOffer(tools, use.offered, template, use.several)


def tools_on_the_way(use: ToolUse, engine: Engine) -> Mapping[str, Tool]:
    """The tools that branches run on their way, by name.

    Not those with side effects, which wait for a decision; and none where nothing but a call is an
    answer, or where the engine cannot go on with results.

    Raises:
        BadRequest: two tools are called the same.
    """
    own = [tool for tool in use.callable if isinstance(tool, Tool)]
    names = Counter(tool_name(tool) for tool in use.callable)
    for name in (tool.name for tool in own):
        if names[name] > 1:
            raise BadRequest(
                f"tools: there are two called {name!r}: give one another name", "tools"
            )
    if use.required or not takes_tool_turns(engine):
        return {}
    return {tool.name: tool for tool in own if not tool.side_effects}


def reading_last_turns(spec: RaceSpec, tools: Mapping[str, Tool]) -> RaceSpec:
    """``spec``, for branches that run ``tools``: only what they say after the last result is read,
    and a call of one of these, which they wait for, is no answer."""

    def without_calls(find: Finder) -> Finder:
        def found(text: str) -> str | None:
            answer = find(last_turn(text))
            return None if any(call.name in tools for call in read_calls(answer)) else answer

        return found

    answers, forcing = spec.answers, spec.forcing
    answers = replace(
        answers,
        find=without_calls(answers.find),
        settled=without_calls(answers.settled),
        complete=None if answers.complete is None else without_calls(answers.complete),
    )
    return replace(
        spec,
        answers=answers,
        forcing=_LastTurnForcing(**{f.name: getattr(forcing, f.name) for f in fields(forcing)}),
    )


@dataclass(frozen=True, slots=True)
class _LastTurnForcing(Forcing):
    """Closes a thinking that began after the last result."""

    def after(self, text: str) -> Suffix:
        return Forcing.after(self, last_turn(text))
