"""How a chat template takes the calls of tools that earlier turns made.

OpenAI's API has the arguments of a call as JSON in a string, and no content in a turn that only
makes calls. Some templates write the arguments as JSON themselves, and want them as data; others
join them to text, and fail on data. Some write calls only where the content is none, others fail on
that. Told in the wrong form a call may be lost without a word: so the form is found out by
rendering a conversation that has one.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from .protocol import Message

_NAME, _VALUE, _SAID = "count_sunflowers", "along the canal", "I shall count them."
_CALL: Final[Mapping[str, Any]] = {
    "id": "call00001",  # of as many letters and digits as the strictest templates want
    "type": "function",
    "function": {"name": _NAME, "arguments": {"where": _VALUE}},
}


def _probe(content: str) -> Sequence[Message]:
    told: Any = {"role": "assistant", "content": content, "tool_calls": [_CALL]}
    result: Any = {"role": "tool", "content": "31", "name": _NAME, "tool_call_id": _CALL["id"]}
    return ({"role": "user", "content": "How many are there?"}, told, result)


@dataclass(frozen=True, slots=True)
class CallForm:
    """How calls are told.

    Attributes:
        json_arguments: whether arguments are JSON in a string; else they are data.
        empty_content: whether a turn that only makes calls has an empty content; else it is None.
        apart: whether what a turn says besides its calls is a turn of its own, before them.
    """

    json_arguments: bool = False
    empty_content: bool = True
    apart: bool = False

    def told(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages for the template; calls come with their arguments as data."""
        turns: list[dict[str, Any]] = []
        for message in messages:
            turn: dict[str, Any] = dict(message)
            if turn.get("tool_calls"):
                turn["tool_calls"] = [self._call(call) for call in turn["tool_calls"]]
                if turn["content"] and self.apart:
                    turns.append({k: v for k, v in turn.items() if k != "tool_calls"})
                    turn.pop("reasoning_content", None)
                    turn["content"] = ""
                turn["content"] = turn["content"] or ("" if self.empty_content else None)
            turns.append(turn)
        return turns

    def _call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        function = dict(call["function"])
        if self.json_arguments and not isinstance(function["arguments"], str):
            function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
        return {**call, "function": function}


_USUAL: Final = CallForm()
_FORMS: Final = tuple(
    CallForm(json_arguments, empty_content)
    for json_arguments, empty_content in product((False, True), (True, False))
)


def call_form(render: Callable[[Sequence[Mapping[str, Any]]], str]) -> CallForm:
    """The form in which a template shows calls; the usual one if it shows them in none.

    Args:
        render: renders messages by the template; it raises what it likes.
    """
    for form in _FORMS:
        if _shows(render, form, ""):
            if _shows(render, form, _SAID):
                return form
            apart = CallForm(form.json_arguments, form.empty_content, apart=True)
            return apart if _shows(render, apart, _SAID) else form
    return _USUAL


def _shows(
    render: Callable[[Sequence[Mapping[str, Any]]], str], form: CallForm, content: str
) -> bool:
    try:
        text = render(form.told(_probe(content)))
    except Exception:  # noqa: BLE001 - a template that refuses does not show it
        return False
    # Arguments that are told as text where data is wanted come as JSON within JSON.
    return content in text and _NAME in text and _VALUE in text and '\\"where' not in text
