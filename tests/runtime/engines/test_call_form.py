"""Calls of earlier turns, in the form in which a chat template shows them."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from frontrunner.runtime.engines.call_form import CallForm, call_form

jinja2 = pytest.importorskip("jinja2")

JOINED = "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ '<' + c.function.name + c.function.arguments + '>' }}{% endfor %}{% endfor %}"  # noqa: E501
WRITTEN = JOINED.replace("c.function.arguments", "(c.function.arguments | tojson)")
# In the manner of DeepSeek-V3's.
ONLY_WITHOUT_CONTENT = "{% for m in messages %}{% if m.content is none %}{% for c in m.tool_calls %}{{ '<' + c.function.name + c.function.arguments + '>' }}{% endfor %}{% else %}{{ m.content }}{% endif %}{% endfor %}"  # noqa: E501
# In the manner of Llama 3.1's.
ONLY_CALLS = "{% for m in messages %}{% if m.tool_calls %}{{ m.tool_calls[0].function.name }}{{ m.tool_calls[0].function.arguments | tojson }}{% else %}{{ m.content }}{% endif %}{% endfor %}"  # noqa: E501
NO_CALLS = "{% for m in messages %}{{ m.content }}{% endfor %}"
REFUSES = "{{ messages[9].content }}"

CALLS: Sequence[Mapping[str, Any]] = (
    {"role": "user", "content": "How much?"},
    {
        "role": "assistant",
        "content": "I add. ",
        "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": "é"}}}],
    },
)


def renders(template: str) -> Any:
    """What renders messages by ``template``, as the ``transformers`` library does."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["tojson"] = partial(json.dumps, ensure_ascii=False)
    compiled = environment.from_string(template)

    def render(messages: Sequence[Mapping[str, Any]]) -> str:
        plain = [{"tool_calls": None, **message} for message in messages]
        return compiled.render(messages=plain)

    return render


@pytest.mark.parametrize(
    ("template", "form", "text"),
    [
        (WRITTEN, CallForm(), 'How much?I add. <add{"a": "é"}>'),
        (JOINED, CallForm(json_arguments=True), 'How much?I add. <add{"a": "é"}>'),
        (
            ONLY_WITHOUT_CONTENT,
            CallForm(json_arguments=True, empty_content=False, apart=True),
            'How much?I add. <add{"a": "é"}>',
        ),
        (ONLY_CALLS, CallForm(apart=True), 'How much?I add. add{"a": "é"}'),
        (NO_CALLS, CallForm(), "How much?I add. "),
    ],
)
def test_calls_are_told_as_the_template_shows_them(
    template: str, form: CallForm, text: str
) -> None:
    render = renders(template)
    found = call_form(render)
    assert found == form
    assert render(found.told(CALLS)) == text


def test_a_template_that_refuses_gets_the_usual_form() -> None:
    assert call_form(renders(REFUSES)) == CallForm()


def test_what_is_told_apart_keeps_its_order_and_its_reasoning() -> None:
    turn = {**CALLS[1], "reasoning_content": "because"}
    said, called = CallForm(empty_content=False, apart=True).told([turn])
    assert said == {"role": "assistant", "content": "I add. ", "reasoning_content": "because"}
    assert called == {"role": "assistant", "content": None, "tool_calls": turn["tool_calls"]}
    assert turn["content"] == "I add. "


def test_turns_without_calls_are_as_they_were() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]
    assert CallForm(json_arguments=True, empty_content=False, apart=True).told(turns) == turns
