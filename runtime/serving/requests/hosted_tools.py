"""Tools that are no functions: a server would run them (``web_search``, ``mcp``, …), or they take
text (``custom``). There are none here; they are left out where the model may do without them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...prompts.tool_choice import function_fault
from ..errors import BadParameter

_WHY: Final = "only functions can be called here, which the client runs itself"


def tool_types(tools: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """The types of tools; one that does not say is a function.

    Raises:
        BadParameter: a type is no name.
    """
    kinds = [tool.get("type", "function") for tool in tools or ()]
    for place, kind in enumerate(kinds):
        if not isinstance(kind, str):
            param = f"tools[{place}].type"
            raise BadParameter(f"{param}: must be a string, such as function", param)
    return kinds


def check_functions(tools: Sequence[Mapping[str, Any]], field: str = "tools") -> None:
    """See that those of ``tools`` that are functions can be told to a model.

    Args:
        field: of the request; ``functions`` is a list without tools around them.

    Raises:
        BadParameter: one has no name, or parameters that are no schema.
    """
    for index, tool in enumerate(tools):
        place, function = f"{field}[{index}]", tool
        if field == "tools":
            if tool.get("type", "function") != "function":
                continue
            place, function = f"{place}.function", tool.get("function")
        if (fault := function_fault(function, place)) is not None:
            path, wrong = fault
            raise BadParameter(f"{path}: {wrong}", path)


def left_out(types: Sequence[str], choice: str | Mapping[str, Any] | None) -> tuple[str, ...]:
    """What to report of the tools that are no functions, such as ``tools[1].web_search``.

    Args:
        types: of all tools, in order.
        choice: the request's ``tool_choice``.

    Raises:
        BadParameter: ``choice`` demands one of them.
    """
    others = [(place, kind) for place, kind in enumerate(types) if kind != "function"]
    mode, allowed = _demanded(choice)
    if (named := next((kind for kind in allowed if kind != "function"), None)) is not None:
        raise BadParameter(f"tool_choice: {named[:100]} is not supported: {_WHY}", "tool_choice")
    if others and mode == "required":
        place, kind = others[0]
        param = f"tools[{place}].type"
        raise BadParameter(
            f"{param}: {kind[:100]} is not supported where tool_choice requires a call: {_WHY}",
            param,
        )
    return () if mode == "none" else tuple(f"tools[{place}].{kind}" for place, kind in others)


def _demanded(choice: str | Mapping[str, Any] | None) -> tuple[str, list[str]]:
    """The mode of a choice, and the types of tools that it demands."""
    if not isinstance(choice, Mapping):
        return choice or "auto", []
    if choice.get("type") != "allowed_tools":
        return "named", [str(choice.get("type", "function"))]
    nested: Any = choice.get("allowed_tools")  # so in chat completions; flat in responses
    said: Mapping[str, Any] = nested if isinstance(nested, Mapping) else choice
    mode, tools = str(said.get("mode") or "auto"), said.get("tools")
    listed: Sequence[Any] = tools if isinstance(tools, list) else ()
    kinds = [str(tool.get("type")) for tool in listed if isinstance(tool, Mapping)]
    return mode, kinds if mode == "required" else []
