"""Which tools a race offers, and which of their calls are answers: OpenAI's ``tool_choice``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..answers import Extractor
from ..answers.combined import call_extractor, with_calls
from ..errors import BadRequest

Tool = Mapping[str, Any]
#: A mode, or an object that names a tool or several.
ToolChoice = str | Mapping[str, Any]

_PARAM = "tool_choice"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """What was decided about tools."""

    offered: tuple[Tool, ...] = ()
    """In OpenAI's form, for the chat template."""
    callable: tuple[Tool, ...] = ()
    """Those of them of which a call is an answer."""
    required: bool = False
    """Whether nothing but a call is an answer."""
    several: bool = True
    """Whether several calls at once are an answer; else it is the first of them."""

    def answers(self, kind: Extractor) -> Extractor:
        """What an answer is where answers of ``kind`` are asked for."""
        if not self.callable:
            return kind
        if self.required:
            return call_extractor(self.callable, several=self.several)
        return with_calls(kind, self.callable, several=self.several)


def tool_use(
    tools: Sequence[Tool] | None, choice: ToolChoice | None = None, several: bool | None = None
) -> ToolUse:
    """
    Args:
        tools: in OpenAI's form.
        choice: ``auto`` (None), ``none``, ``required``, or an object that names a function or the
            allowed tools, in the form of either of OpenAI's APIs.
        several: OpenAI's ``parallel_tool_calls``; None: they may be.

    Raises:
        BadRequest: the choice is none, or names a tool that is not offered.
    """
    offered, several = tuple(tools or ()), several is not False
    if choice == "none":
        return ToolUse()
    if choice is None or choice == "auto":
        return ToolUse(offered, offered, several=several)
    if choice != "required" and not isinstance(choice, Mapping):
        raise BadRequest(
            f"tool_choice must be auto, none, required or name a function, not {choice!r}", _PARAM
        )
    if not offered:
        raise BadRequest("tool_choice: there are no tools to choose from: pass tools", _PARAM)
    if not isinstance(choice, Mapping):
        return ToolUse(offered, offered, required=True, several=several)
    match choice.get("type"):
        case "function":
            named = (_named(offered, choice),)
            # The model is shown no other: it could only call that in vain.
            return ToolUse(named, named, required=True, several=several)
        case "allowed_tools":
            inner = choice.get("allowed_tools", choice)
            return _allowed(offered, inner if isinstance(inner, Mapping) else {}, several)
        case kind:
            raise BadRequest(
                f"tool_choice: type must be function or allowed_tools, not {kind!r}", _PARAM
            )


def _allowed(offered: tuple[Tool, ...], choice: Mapping[str, Any], several: bool) -> ToolUse:
    mode, named = choice.get("mode", "auto"), choice.get("tools")
    if mode not in ("auto", "required"):
        raise BadRequest(f"tool_choice: mode must be auto or required, not {mode!r}", _PARAM)
    if not isinstance(named, list) or not named:
        raise BadRequest("tool_choice: tools must name at least one tool", _PARAM)
    # Those that a server would run are not offered here.
    functions = [t for t in named if not isinstance(t, Mapping) or t.get("type") == "function"]
    allowed = tuple(_named(offered, tool) for tool in functions)
    return ToolUse(offered, allowed, required=mode == "required", several=several)


def tool_name(tool: Any) -> str | None:
    """The name of a function in either of OpenAI's forms; None if it has none."""
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) else None


def function_fault(function: object, place: str) -> tuple[str, str] | None:
    """Why this describes no function that a model can be told of: its place, and what is wrong.

    Args:
        function: name, description and parameters, without a tool around it.
        place: of ``function`` in the request.
    """
    if not isinstance(function, Mapping):
        return place, "name, description and parameters of the function are expected, as an object"
    told = cast(Mapping[str, Any], function)
    if not isinstance(name := told.get("name"), str) or not name:
        return f"{place}.name", "the name of the function is missing"
    if not isinstance(told.get("parameters"), Mapping | None):
        return f"{place}.parameters", "a JSON Schema is expected, as an object"
    return None


def _named(offered: Sequence[Tool], choice: Any) -> Tool:
    name = tool_name(choice)
    if name is None:
        raise BadRequest("tool_choice: the name of the function is missing", _PARAM)
    for tool in offered:
        if tool_name(tool) == name:
            return tool
    raise BadRequest(f"tool_choice: no tool {name[:100]!r} is offered", _PARAM)
