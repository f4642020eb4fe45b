"""Tool calls as data: what in parsed JSON is one, and the tools that were offered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..json_values import NoValueError, only_value, plain
from ..schema import violates
from .literals import literal_at

#: A call: its name, and its arguments, an object.
Call = dict[str, Any]

_NAMES: Final = ("name", "tool_name", "function", "tool", "action")
_ARGUMENTS: Final = (
    "arguments", "parameters", "args", "input", "tool_input", "action_input",
)  # fmt: skip
# The key that says "arguments" and nothing else: others name what many records hold.
_CERTAIN: Final = "arguments"
# What may stand beside a name and arguments. Anything else is a record, or the tool's definition.
_BESIDE: Final = frozenset(
    {"type", "id", "index", "call_id", "tool_call_id", "status", "caller", "strict"}
)
_TYPES: Final = frozenset({"function", "function_call", "tool_use", "tool_call", "tool-call"})
# Where an entry or a message keeps its call or calls.
_WITHIN: Final = (
    "function", "function_call", "functionCall", "tool_call", "tool_use", "toolUse",
)  # fmt: skip
_CALL_LISTS: Final = ("tool_calls", "function_calls")
_MIXED_LISTS: Final = ("content", "output", "parts")
# Nested messages: a message, its list, an entry of it, the function in that.
_MAX_WRAPPERS: Final = 4
_ONLY_TEXT: Final = frozenset({"string"})


@dataclass(frozen=True, slots=True)
class Offered:
    """The tools that were offered: names, and the schemas of their parameters."""

    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.schemas)

    def admits(self, call: Call) -> bool:
        """Whether it calls one of them with what that accepts. Without tools every call passes."""
        if not self.schemas:
            return True
        schema = self.schemas.get(call["name"])
        return schema is not None and not violates(plain(call["arguments"]), schema)

    def typed(self, name: str, key: str, text: str) -> Any:
        """The value that ``text`` stands for, an argument of a format that writes no types."""
        properties = self.schemas.get(name, {}).get("properties")
        schema = properties.get(key) if isinstance(properties, Mapping) else None
        if isinstance(schema, Mapping) and _is_text(schema):
            return text
        return value_of(text)


def offered(tools: Sequence[Mapping[str, Any]] | Offered) -> Offered:
    """Reads tools in OpenAI's forms, of chat completions and of responses; what was read already
    stays as it is, so that a race can read its tools once for all its branches."""
    if isinstance(tools, Offered):
        return tools
    schemas: dict[str, Mapping[str, Any]] = {}
    for tool in tools:
        inner = tool.get("function") if isinstance(tool, Mapping) else None
        function = inner if isinstance(inner, Mapping) else tool
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            continue
        schema = function.get("parameters", function.get("input_schema"))
        schemas[function["name"]] = schema if isinstance(schema, Mapping) else {}
    return Offered(schemas)


def value_of(text: str) -> Any:
    """The JSON value or Python literal that all of ``text`` is, or else ``text`` itself."""
    try:
        return only_value(text)
    except NoValueError:
        pass
    stripped = text.strip()
    if stripped.startswith(("{", "[")) or stripped in ("True", "False", "None"):
        try:
            value, end = literal_at(stripped, 0)
        except NoValueError:
            return text
        if end == len(stripped):
            return value
    return text


def calls_in(value: Any, *, tagged: bool = False) -> list[Call] | None:
    """The tool calls that a value is, in the forms of OpenAI, Anthropic and others; None if none.

    Args:
        tagged: whether the text marks it as a call; then arguments may be left out.
    """
    return _calls(value, tagged, _MAX_WRAPPERS)


def _calls(value: Any, tagged: bool, wrappers: int) -> list[Call] | None:
    if isinstance(value, list):
        entries = [_calls(entry, tagged, wrappers - 1) if wrappers else None for entry in value]
        calls = [call for entry in entries if entry is not None for call in entry]
        return calls if calls and None not in entries else None
    if not isinstance(value, dict):
        return None
    if wrappers:
        for key in _CALL_LISTS:
            if isinstance(value.get(key), list):
                return _calls(value[key], tagged, wrappers - 1)
        for key in _MIXED_LISTS:
            if isinstance(value.get(key), list):
                return _calls(_call_entries(value[key]), tagged, wrappers - 1)
        for key in _WITHIN:
            if isinstance(value.get(key), dict):
                return _calls(value[key], tagged, wrappers - 1)
    call = _call(value, tagged)
    return None if call is None else [call]


def _call_entries(entries: list[Any]) -> list[Any]:
    """The calls among a message's parts, which may be text, too."""
    return [
        entry
        for entry in entries
        if isinstance(entry, dict)
        and (entry.get("type") in _TYPES or any(key in entry for key in _WITHIN))
    ]


def _call(value: dict[Any, Any], tagged: bool) -> Call | None:
    name_key = next((key for key in _NAMES if isinstance(value.get(key), str)), None)
    if name_key is None or not value[name_key].strip():
        return None
    if value.get("type", "function") not in _TYPES:
        return None
    given = [key for key in _ARGUMENTS if key in value]
    beside = value.keys() - {name_key, *given} - _BESIDE
    if len(given) > 1 or (beside and given != [_CERTAIN]) or not (given or tagged):
        return None
    arguments = _arguments(value[given[0]]) if given else {}
    if arguments is None or (given == ["parameters"] and _is_definition(arguments)):
        return None
    return {"name": value[name_key].strip(), "arguments": arguments}


def _arguments(value: Any) -> dict[str, Any] | None:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        value = value_of(value)
    return value if isinstance(value, dict) else None


def _is_definition(parameters: dict[str, Any]) -> bool:
    """Whether it is a schema of parameters, and no arguments."""
    return parameters.get("type") == "object" and isinstance(parameters.get("properties"), dict)


def _is_text(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type")
    if kinds is None and isinstance(schema.get("enum"), list):
        return bool(schema["enum"]) and all(isinstance(item, str) for item in schema["enum"])
    return kinds == "string" or (isinstance(kinds, list) and set(map(str, kinds)) == _ONLY_TEXT)
