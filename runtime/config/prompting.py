"""``[prompt]``: what the model is told beside the question, and how its chat template is used."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson
from pydantic import Field, field_validator

from .sections import Section

Placement = Literal["auto", "system", "user"]

#: Names that mean something else to whoever renders a template than a variable in it.
_RESERVED: Final = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "documents",
        "self",
        "max_length",
        "messages",
        "padding",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "tokenize",
        "tokenizer_kwargs",
        "tools",
        "truncation",
    }
)
#: Variables of a template at most, and the size of all of them as JSON, in bytes.
_MAX_ARGUMENTS: Final = 32
_MAX_BYTES: Final = 4096


class PromptSettings(Section):
    """What the model is told beside the question, and the variables of its chat template. A raw
    prompt is never touched."""

    instruction: str = "auto"
    r"""What is added to a conversation so that its answer can be found: ``auto`` asks for the form
    of the answer kind (a ``\boxed{}``, a letter, JSON by its schema, …) unless the conversation
    does so itself; an empty text adds nothing; any other text is added as it stands, to questions
    for ``answers.kind``. The texts, and what counts as asking, are in docs/prompts.md."""
    placement: Placement = "auto"
    """Where the instruction stands: at the end of the ``system`` message, behind the last ``user``
    message, or in the first of these that the model's chat template shows (``auto``)."""
    template_arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The variables of the chat template, which vLLM calls ``chat_template_kwargs``, such as
    ``{enable_thinking = false}``."""
    chat_template: str | None = None
    """A file with a chat template (Jinja, relative to the config file) that is used instead of the
    model's own; with an endpoint it needs ``engine.tokenizer``. Not set: the model's own."""

    @field_validator("template_arguments")
    @classmethod
    def _can_be_given(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        if (fault := argument_fault(arguments)) is not None:
            raise ValueError(fault)
        return arguments


def argument_fault(arguments: Mapping[str, Any]) -> str | None:
    """Why these cannot be the variables of a chat template; None: they can."""
    if len(arguments) > _MAX_ARGUMENTS:
        return f"at most {_MAX_ARGUMENTS} variables, not {len(arguments)}"
    if taken := sorted(_RESERVED & arguments.keys()):
        return f"{taken[0]} is not a variable of the template: it is set otherwise"
    if odd := [name for name in arguments if not name.isidentifier()]:
        return f"{odd[0][:64]!r} is no name of a variable"
    try:
        size = len(orjson.dumps(arguments))
    except (TypeError, ValueError) as error:
        return f"the values must be plain data, as JSON has it ({error})"
    return f"at most {_MAX_BYTES} bytes as JSON, not {size}" if size > _MAX_BYTES else None
