"""``[thinking]``: whether the model thinks before it replies, and how it marks that."""

from typing import Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from .prompting import argument_fault
from .sections import Section, Strings, Tokens

Mode = Literal["auto", "on", "off"]

#: What stands between the thinking and its end where nobody says otherwise, and behind that.
_LEAD: Final = "\n"
_TAIL: Final = "\n\n"
#: What ends a message of OpenAI's harmony format.
MESSAGE_END: Final = "<|end|>"


class ThinkingSettings(Section):
    """Whether the model thinks before it replies, and how it marks that. A model's family
    (``engine.family``) fills in what is not set here."""

    mode: Mode = "auto"
    """Whether the model is to think: ``on`` and ``off`` say so to its chat template by
    ``on_arguments`` and ``off_arguments``; ``auto`` leaves it to the template."""
    start: str | None = None
    """The mark that opens a thinking, such as ``<think>``. Not set, here or by the family or the
    parser: no marks are known, and what any model writes between the usual ones is set aside."""
    end: str | None = None
    """The mark that ends a thinking, such as ``</think>``."""
    closing: str | None = None
    """The text that a branch which was cut inside its thinking is continued with before its forced
    answer: words of the model's own, ``end`` (once), and what follows it. Not set: ``end`` between
    line breaks."""
    channels: bool = False
    """Whether the model writes messages on channels, as OpenAI's harmony format has it: what is on
    ``analysis`` is thought, and ``final`` is the reply. The marks are then those of harmony."""
    special_tokens: bool = False
    """Whether the marks are special tokens, which engines leave out of the text unless they are
    asked to keep them; of endpoints, vLLM's servers can be asked."""
    turn_ends: Strings = ()
    """The tokens that end the model's turn, where ``special_tokens`` keeps them in the text: they
    are no content."""
    in_prompt: bool | None = None
    """Whether the chat template opens the thinking itself, at the end of the prompt. Not set: that
    is read off the prompt's last tokens. It counts only where those are not known, as with an
    endpoint that has no tokenizer."""
    on_arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The variables by which the chat template is told to let the model think."""
    off_arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    """The variables by which the chat template is told not to let the model think."""
    history_key: str = "reasoning_content"
    """The key of an earlier assistant's turn in which the chat template looks for what was thought
    then."""
    token_budget: Tokens | None = None
    """The most tokens that a branch may think: vLLM, in this process or as a server that was
    started with ``--reasoning-config``, then ends the thinking with ``end``. Not set: as many as it
    likes. Other endpoints cannot do it, and are refused."""
    parser: str | None = None
    """The name of one of vLLM's reasoning parsers, such as ``deepseek_r1``, that says the marks
    which are not set here. It needs vLLM in this process, and the model's tokenizer."""

    @field_validator("start", "end", "closing")
    @classmethod
    def _says_something(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("must not be empty; leave it out for none")
        return text

    @field_validator("on_arguments", "off_arguments")
    @classmethod
    def _can_be_given(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        if (fault := argument_fault(arguments)) is not None:
            raise ValueError(fault)
        return arguments

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.channels:
            if self.start is not None or self.closing is not None:
                raise ValueError("start and closing have no meaning with channels = true")
        elif self.parser is None:
            if (self.start is None) != (self.end is None):
                missing = "end" if self.end is None else "start"
                raise ValueError(f"{missing} is missing: a thinking has two marks")
            marks = (self.start, self.end) if self.start and self.end else ("<", ">")
            if marks[0] in marks[1] or marks[1] in marks[0]:
                raise ValueError("start and end must differ, and neither hold the other")
        if self.closing is not None and self.end is not None:
            if self.closing.count(self.end) != 1:
                raise ValueError(f"closing must hold end ({self.end!r}) once")
        elif self.closing is not None and self.parser is None:
            raise ValueError("end is missing: closing has no meaning without it")
        return self

    @property
    def marked(self) -> bool:
        """Whether it is known how the model marks its thinking."""
        return self.channels or self.start is not None

    @property
    def whole_closing(self) -> str:
        """``closing``, or what stands for it."""
        return self.closing or f"{_LEAD}{self.end or MESSAGE_END}{_TAIL}"
