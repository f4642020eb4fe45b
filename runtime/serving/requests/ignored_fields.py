"""What becomes of each field of OpenAI's requests.

A field is *honoured*: the request model has it, and it does what OpenAI says; *refused*, with 400
and its name, where a reply without it would be taken for something that it is not; or *ignored*,
where the reply is as good without it, and then named in ``frontrunner.ignored`` of the reply, as
are fields that nobody knows. ``docs/fields.md`` is this table, written by ``as_markdown``.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel

from ..errors import BadParameter

Fate = Literal["honoured", "refused", "ignored"]

#: Names of ignored fields that a reply repeats at most, and characters of each.
_MAX_NAMES, _NAME_LENGTH = 64, 128


@dataclass(frozen=True, slots=True)
class Field:
    """What becomes of a field."""

    fate: Fate
    why: str
    default: tuple[Any, ...] = ()
    """Values that ask for nothing: as if the field was not sent."""
    refuses: Callable[[Any], str | None] = lambda value: None
    """Why a value of an ignored field is refused all the same; None: it is not."""


Fields = Mapping[str, Field]


def _honoured(why: str = "") -> Field:
    return Field("honoured", why)


def _refused(why: str, *default: Any) -> Field:
    return Field("refused", why, default)


def _ignored(why: str, *default: Any) -> Field:
    return Field("ignored", why, default)


#: Why there are none, and what to do.
NO_LOGPROBS: Final = (
    "races tell no log probabilities; use tasks that judge the generated text (lm-eval's "
    "generate_until), or ask vLLM's own server for likelihoods"
)


def _includes(value: Any) -> str | None:
    if isinstance(value, list) and "message.output_text.logprobs" in value:
        return f"message.output_text.logprobs: {NO_LOGPROBS}"
    return None


_TEMPLATE_ARGUMENTS: Final = (
    "vLLM's: variables of the model's chat template, over those of `[prompt]`; at most 32, and "
    "4 KiB of JSON"
)

_EFFORT: Final = (
    "where the chat template reads it, as gpt-oss's does; and as `[thinking]` tells the model to "
    "think, or with `none` not to"
)
_BUDGET: Final = (
    "vLLM's: the most tokens that a branch may think; refused where the engine keeps no budgets"
)

#: Fields that more than one API has.
_SAMPLING: Final[Fields] = {
    "model": _honoured("must be the one that is served"),
    "temperature": _honoured(),
    "top_p": _honoured(),
    "top_k": _honoured("vLLM's; -1 and 0 mean all tokens"),
    "thinking_token_budget": _honoured(_BUDGET),
    "frontrunner": _honoured("what a request says about its race"),
}
_COMPLETION: Final[Fields] = {
    **_SAMPLING,
    "n": _honoured("the winner, and the next best branches behind it"),
    "stop": _honoured(),
    "seed": _honoured("where the engine can"),
    "max_tokens": _honoured(),
    "stream": _honoured(),
    "stream_options": _honoured(),
    "stream_options.include_usage": _honoured(),
    "stream_options.include_obfuscation": _ignored("chunks are never padded", False),
    "frequency_penalty": _ignored("branches are drawn without penalties", 0),
    "presence_penalty": _ignored("branches are drawn without penalties", 0),
    "logit_bias": _refused("tokens cannot be weighed", {}),
    "user": _ignored("requests are told apart by their key"),
}
_HOSTING: Final[Fields] = {
    "moderation": _refused("nothing is moderated here: do it before and after the request"),
    "prompt_cache_key": _ignored("the engine finds common beginnings by itself"),
    "prompt_cache_options": _ignored("the engine finds common beginnings by itself"),
    "prompt_cache_retention": _ignored("the engine finds common beginnings by itself"),
    "safety_identifier": _ignored("requests are told apart by their key"),
    "service_tier": _ignored("all requests are served alike", "auto", "default"),
}

CHAT: Final[Fields] = {
    **_COMPLETION,
    **_HOSTING,
    "messages": _honoured("text; images, audio and files are refused"),
    "max_completion_tokens": _honoured(),
    "tools": _honoured("functions; custom tools are left out, and named in `ignored`"),
    "tool_choice": _honoured("where it demands a tool that is no function it is refused"),
    "functions": _honoured("as `tools`"),
    "function_call": _honoured("as `tool_choice`"),
    "parallel_tool_calls": _honoured(),
    "response_format": _honoured(),
    "chat_template_kwargs": _honoured(_TEMPLATE_ARGUMENTS),
    "audio": _refused("replies are text"),
    "modalities": _refused("replies are text", ["text"], []),
    "logprobs": _refused(NO_LOGPROBS, False),
    "top_logprobs": _refused(NO_LOGPROBS, 0),
    "metadata": _ignored("chat completions are not kept", {}),
    "store": _ignored("chat completions are not kept; responses are", False),
    "prediction": _ignored("the engine drafts by itself, see `[engine.speculation]`"),
    "reasoning_effort": _honoured(_EFFORT),
    "verbosity": _ignored("the model decides"),
    "web_search_options": _ignored("there are no hosted tools"),
}

COMPLETIONS: Final[Fields] = {
    **_COMPLETION,
    "prompt": _honoured("text or token ids, one or a list"),
    "echo": _honoured("of token ids where the engine tells what they stand for"),
    "suffix": _refused("text is only added at the end: put both parts into the prompt", ""),
    "logprobs": _honoured("without a race, up to 20, where the engine tells them"),
    "add_special_tokens": _honoured(
        "vLLM's: whether text begins as the model's tokenizer has it, with a BOS, say; true by "
        "default"
    ),
    "best_of": _ignored("a race always takes the best of `frontrunner.branches`", 1),
}

RESPONSES: Final[Fields] = {
    **_SAMPLING,
    **_HOSTING,
    "input": _honoured("text, and items: see below"),
    "instructions": _honoured(),
    "generate": _honoured("false: nothing is generated, and a later request goes on from it"),
    "previous_response_id": _honoured("of responses that are kept"),
    "max_output_tokens": _honoured(),
    "tools": _honoured("functions; hosted and custom tools are left out, and named in `ignored`"),
    "tool_choice": _honoured("where it demands a tool that is no function it is refused"),
    "parallel_tool_calls": _honoured(),
    "max_tool_calls": _ignored("it counts calls of hosted tools, of which there are none"),
    "metadata": _honoured("repeated in the response"),
    "user": _honoured("repeated in the response"),
    "store": _honoured(),
    "background": _honoured(),
    "background_options": _ignored("a response begins at once"),
    "stream": _honoured(),
    "stream_options": _ignored("events are never padded", {}, {"include_obfuscation": False}),
    "seed": _honoured("not one of OpenAI's; where the engine can"),
    "stream_id": _honoured("on the websocket: its lane"),
    "text": _honoured(),
    "text.format": _honoured(),
    "chat_template_kwargs": _honoured(_TEMPLATE_ARGUMENTS),
    "text.verbosity": _ignored("the model decides"),
    "reasoning": _honoured(),
    "reasoning.effort": _honoured(_EFFORT),
    "include": Field("ignored", "reasoning is told as it is, not encrypted", ([],), _includes),
    "top_logprobs": _refused(NO_LOGPROBS, 0),
    "truncation": _ignored("nothing is cut: what is too long is refused", "disabled"),
    "context_management": _ignored("nothing is cut: what is too long is refused", []),
    "conversation": _refused("conversations are not kept here: go on by `previous_response_id`"),
    "prompt": _refused("prompts are not kept here: send the text"),
    "access_programs": _ignored("there are none"),
    "image": _ignored("images are neither read nor made"),
}


#: Input items of the Responses API. What is not here is refused by name.
ITEMS: Final[Fields] = {
    "message": _honoured("its text and refusals; images and files are refused"),
    "function_call": _honoured(),
    "function_call_output": _honoured("text, or a list of texts"),
    "custom_tool_call": _honoured("as a function call, `input` its argument"),
    "custom_tool_call_output": _honoured("text, or a list of texts"),
    "reasoning": _honoured("its content, or else its summary, for chat templates that show it"),
    "item_reference": _honoured("to an item of a response that is kept"),
    **{
        name: _ignored("what came of it is in the message behind it")
        for name in (
            "web_search_call",
            "file_search_call",
            "code_interpreter_call",
            "image_generation_call",
            "mcp_list_tools",
            "mcp_call",
            "tool_search_call",
            "tool_search_output",
        )
    },
}


def ignored_fields(body: BaseModel, fields: Fields) -> tuple[str, ...]:
    """The fields of a request that were sent and have no effect.

    Raises:
        BadParameter: one that is refused was sent.
    """
    return tuple(_without_effect(body, fields, ""))


def told(names: Sequence[str]) -> list[str]:
    """Names of what was ignored, as a reply repeats them: not more of them than somebody reads."""
    more = len(names) - _MAX_NAMES
    cut = [name[:_NAME_LENGTH] for name in names[:_MAX_NAMES]]
    return [*cut, f"and {more} more"] if more > 0 else cut


def _without_effect(sent: BaseModel | Mapping[str, Any], fields: Fields, at: str) -> Iterator[str]:
    for key, value, unknown in _values(sent):
        name = at + key
        field = fields.get(name)
        if value is None or (field is not None and value in field.default):
            continue
        if field is not None and field.fate == "refused":
            raise BadParameter(f"{name} is not supported: {field.why}", name)
        if field is not None and field.fate == "ignored":
            if (why := field.refuses(value)) is not None:
                raise BadParameter(f"{name}: {why}", name)
            yield name
        elif unknown or (field is None and isinstance(sent, Mapping)):
            yield name
        elif isinstance(value, BaseModel | Mapping) and _has_parts(fields, name):
            yield from _without_effect(value, fields, f"{name}.")


def _values(sent: BaseModel | Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    """Names and values, and whether a model has them and should not: what is honoured and not in
    the request's model is not known there, so that nothing is dropped without a word."""
    if isinstance(sent, BaseModel):
        for name in sorted(sent.model_fields_set & type(sent).model_fields.keys()):
            yield name, getattr(sent, name), False
        for name, value in (sent.model_extra or {}).items():
            yield name, value, True
    else:
        for name, value in sent.items():
            yield name, value, False


def _has_parts(fields: Fields, name: str) -> bool:
    return any(field.startswith(f"{name}.") for field in fields)


# ── docs/fields.md ────────────────────────────────────────────────────────────────────────────────

_INTRODUCTION: Final = """\
# What becomes of each field of a request

*honoured*: it does what OpenAI says. *refused*: 400 with its name as `param`, because a reply
without it would be taken for something that it is not. *ignored*: the reply is as good without it;
its name stands in `frontrunner.ignored` of the reply, as do the names of fields that are in no
table. Values that ask for nothing (`null`, and those given here) are neither refused nor named.

The tables are those of `runtime/serving/requests/ignored_fields.py`, and a test holds them against
the types of the `openai` package. This file is written from them:

```sh
.venv/bin/python -c "from frontrunner.runtime.serving.requests import ignored_fields
print(ignored_fields.as_markdown(), end='')" > docs/fields.md
```
"""
_TABLES: Final[Mapping[str, tuple[str, Fields]]] = {
    "`POST /v1/chat/completions`": ("field", CHAT),
    "`POST /v1/completions`": ("field", COMPLETIONS),
    "`POST /v1/responses`, and `response.create` on the websocket": ("field", RESPONSES),
    "Items of `input` of the Responses API": ("`type`", ITEMS),
}


def as_markdown() -> str:
    """The tables as a document."""
    parts = [_INTRODUCTION]
    for title, (what, fields) in _TABLES.items():
        rows = [f"| `{name}` | {_row(field)} |" for name, field in sorted(fields.items())]
        head = f"| {what} | | |\n| --- | --- | --- |"
        parts.append(f"## {title}\n\n{head}\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(field: Field) -> str:
    nothing = " or ".join(f"`{json.dumps(value)}`" for value in field.default)
    why = "; ".join(part for part in (field.why, nothing and f"{nothing} asks for nothing") if part)
    return f"{field.fate} | {why}"
