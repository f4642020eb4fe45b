"""How a conversation becomes a prompt: by the model's chat template, or by a plain layout where it
has none. What a template shows is found out by rendering, never by the model's name.

The plain layout is for base models, which go on with text and know no turns. It ends where the
answer begins::

    What the system says.

    Question: The first question.
    Answer: What was answered.

    Question: The last question.
    Answer:
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import structlog

from ..config import PromptSettings
from ..errors import BadRequest, EngineStartError
from .call_form import CallForm, call_form
from .protocol import ChatSupport, Message, ToolTurn

_log = structlog.get_logger("frontrunner.engine")

#: What a model writes that goes on to a question of its own, in the plain layout.
PLAIN_STOP: Final = "\nQuestion:"
_LABELS: Final = {"user": "Question: ", "assistant": "Answer: "}
#: What is rendered to see whether it is shown.
_SAID: Final = "Sunflowers grow along the canal."
_TOOL: Final = "count_sunflowers"
PROBE: Final[Sequence[Message]] = ({"role": "user", "content": "How many are there?"},)
PROBE_SYSTEMS: Final[Sequence[Sequence[Message]]] = tuple(
    ({"role": "system", "content": said}, *PROBE) for said in (_SAID, "Be brief.")
)
PROBE_LATE_SYSTEMS: Final[Sequence[Sequence[Message]]] = tuple(
    (
        {"role": "system", "content": "Count well."},
        *PROBE,
        {"role": "assistant", "content": "There are seven."},
        {"role": "system", "content": said},
        *PROBE,
    )
    for said in (_SAID, "Be brief.")
)
PROBE_TOOLS: Final[Sequence[Mapping[str, Any]]] = (
    {
        "type": "function",
        "function": {
            "name": _TOOL,
            "description": "Counts them.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
)
_ALTERNATION: Final = ("alternate", "alternating", "user/assistant", "take turns")


class ChatTemplate:
    """The chat template of a tokenizer, and its variables."""

    def __init__(self, tokenizer: Any, settings: PromptSettings | None = None) -> None:
        """
        Args:
            tokenizer: of the ``transformers`` library, or one that takes the same arguments.
            settings: of the variables, and of a template in place of the tokenizer's own.

        Raises:
            EngineStartError: the settings' template cannot be read.
        """
        settings = settings or PromptSettings()
        self._tokenizer = tokenizer
        self._arguments: Mapping[str, Any] = settings.template_arguments
        self._own = _read(settings.chat_template) if settings.chat_template is not None else None
        # Tokenizers that build prompts without a template do not have the attribute.
        self._plain = self._own is None and getattr(tokenizer, "chat_template", "?") in (None, "")
        if self._plain:
            warn_of_plain_layout()

    @property
    def plain(self) -> bool:
        """Whether there is no template, and conversations are laid out plainly."""
        return self._plain

    def text(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """The conversation as the model reads it, up to where the assistant's turn begins.

        Args:
            arguments: variables of the template, over those of the settings.

        Raises:
            BadRequest: the template refuses the messages; it says what to do.
        """
        if self._plain:
            return plain_text(messages, tools)
        try:
            calls = any(message.get("tool_calls") for message in messages)
            told = self._call_form.told(messages) if calls else [dict(m) for m in messages]
            return self._render(told, tools, arguments)
        except Exception as error:
            raise refused(error, messages, tools) from error

    def tool_turn(self, turn: ToolTurn, ended: str) -> str:
        """What stands between an assistant's turn that made calls and the next one: the results.

        Found by rendering a conversation with these calls, with and without results, and not by
        the text of the branch: it need not be as the template would have written it.

        Args:
            ended: what the branch's turn ended with, if that was an end of turn.

        Raises:
            BadRequest: the template refuses the results, or does not show them.
        """
        if self._plain:
            told = zip(turn.calls, turn.results, strict=True)
            return "".join(f"\n\nResult of {name}: {result}" for (name, _), result in told) + "\n\n"
        asked, results = tool_messages(turn)
        try:
            before = self._render(
                self._call_form.told(asked), turn.tools, turn.arguments, prompt=False
            )
            after = self._render(
                self._call_form.told([*asked, *results]), turn.tools, turn.arguments
            )
        except Exception as error:
            raise refused(error, [*asked, *results], turn.tools) from error
        common = _end_of_turn(before, after, turn.calls[-1][0])
        if any(result.strip() not in after[common:] for result in turn.results):
            raise BadRequest(
                "tools: the model's chat template does not show the results of tools: set "
                "prompt.chat_template to a template that does, or let the race decide on calls and "
                "run them yourself",
                "tools",
            )
        # What follows the end of the turn, such as a line break, belongs to the results.
        at = after.rfind(ended, 0, common) if ended.strip() else -1
        closing = after[at + len(ended) : common] if at >= 0 else ""
        return ("" if closing.strip() else closing) + after[common:]

    def _render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        prompt: bool = True,
    ) -> str:
        more: dict[str, Any] = {**self._arguments, **(arguments or {})}
        if self._own is not None:
            more["chat_template"] = self._own
        return self._tokenizer.apply_chat_template(
            messages,
            tools=[dict(tool) for tool in tools] if tools else None,
            tokenize=False,
            add_generation_prompt=prompt,
            **more,
        )

    @cached_property
    def _call_form(self) -> CallForm:
        return call_form(self._render)

    @cached_property
    def support(self) -> ChatSupport:
        """What the template shows."""
        if self._plain:
            return ChatSupport(template=False, system=True, tools=False)
        system = self._shows(_SAID, PROBE_SYSTEMS[0], None)
        return ChatSupport(
            system=system,
            tools=self._shows(_TOOL, PROBE, PROBE_TOOLS),
            late_system=not system or self._shows(_SAID, PROBE_LATE_SYSTEMS[0], None),
        )

    def _shows(
        self, said: str, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None
    ) -> bool:
        try:
            return said in self.text(messages, tools)
        except BadRequest:
            return False


def tool_messages(turn: ToolTurn) -> tuple[list[Any], list[Any]]:
    """A conversation that ends with calls, and the messages with their results."""
    ids = [f"call{place:05}" for place in range(len(turn.calls))]
    called = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, (name, arguments) in zip(ids, turn.calls, strict=True)
    ]
    results = [
        {"role": "tool", "content": result, "name": name, "tool_call_id": id_}
        for id_, (name, _), result in zip(ids, turn.calls, turn.results, strict=True)
    ]
    return [*PROBE, {"role": "assistant", "content": "", "tool_calls": called}], results


def plain_text(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None) -> str:
    """A conversation in the plain layout.

    Raises:
        BadRequest: it has tools, or turns of others than system, user and assistant.
    """
    if tools:
        raise BadRequest(
            "tools: the model has no chat template that could show them to it: leave them out, or "
            "set prompt.chat_template",
            "tools",
        )
    parts: list[str] = []
    for message in messages:
        role, content = message["role"], (message["content"] or "").strip()
        if role not in ("system", *_LABELS):
            raise BadRequest(
                f"messages: the model has no chat template, so turns of {role!r} cannot be told to "
                "it: leave them out, or set prompt.chat_template",
                "messages",
            )
        if content:
            joint = "\n" if role == "assistant" else "\n\n"
            parts += [joint if parts else "", _LABELS.get(role, ""), content]
    return "".join([*parts, "\nAnswer:"])


def warn_of_plain_layout() -> None:
    """Say that the model has no chat template, once where an engine finds out."""
    _log.warning(
        "frontrunner.no_chat_template",
        layout='"Question: …", and "Answer:" in a line of its own',
        hint="the model is a base model, or its folder lacks the template: set "
        "prompt.chat_template to use one, or ask with raw prompts",
    )


def refused(
    error: Exception, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None
) -> BadRequest:
    """What is told where a template refused messages: why, and what to do."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return BadRequest(
        f"the model's chat template refuses the messages: {said} ({_advice(said, messages, tools)})"
    )


def _advice(
    said: str, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None
) -> str:
    roles = [message["role"] for message in messages]
    turns = [role for role in roles if role != "system"]
    repeated = any(one == next_ for one, next_ in pairwise(turns))
    lower = said.lower()
    if any(word in lower for word in _ALTERNATION) or (turns and turns[0] != "user") or repeated:
        return (
            "it takes turns of user and assistant in alternation, the user first: join messages "
            "of one role that follow one another"
        )
    if "system" in roles and "system" in lower:
        return "it takes no system message: say it in the first message of the user"
    if tools or "tool" in roles or "tool" in lower:
        return "leave tools out, or set prompt.chat_template to a template that knows them"
    return "change the messages, or set prompt.chat_template to another template"


def _end_of_turn(before: str, after: str, name: str) -> int:
    """Where in ``after`` the turn ends that ``before`` ends with, and that calls ``name``."""
    # Some templates write a turn's beginning otherwise where it is the last.
    tail = before[max(0, before.rfind(name)) :]
    at = after.find(tail)
    if at >= 0:
        return at + len(tail)
    return next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise EngineStartError(f"prompt.chat_template: cannot read {path} ({reason})") from error
