r"""What the model is told about the form of its answer, where nobody has told it yet.

Votes need answers that can be found: a model that nobody asked to put its answer into a box writes
none. So a race adds one sentence to the conversation, by the kind of answer that it looks for.
Nothing is added to a raw prompt, where tools are offered and no call is demanded, or where the
conversation asks for the form itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

import orjson

from ..config import PromptSettings
from ..config.prompting import Placement
from ..engines.protocol import ChatSupport, Message
from ..errors import BadRequest
from .tool_choice import ToolUse, tool_name

#: The value of ``prompt.instruction`` that stands for the text of the answer kind.
AUTO: Final = "auto"
#: What is told by the kind of answer.
INSTRUCTIONS: Final[Mapping[str, str]] = {
    "boxed": r"Please reason step by step, and put your final answer within \boxed{}.",
    "last_number": "Please reason step by step, and end with a line that says "
    '"The answer is" and then the number.',
    "multiple_choice": "Please reason step by step, and end with a line that says "
    '"The answer is" and then the letter of the right choice.',
    "code": "Put the whole program into one code block between lines of ```, and write nothing "
    "after it.",
}
#: Likewise where nobody asked for an answer, and the question may have none.
CONDITIONAL: Final[Mapping[str, str]] = {
    "boxed": r"If the question has one final answer, put it within \boxed{}.",
    "last_number": "If the answer is a number, end with a line that says "
    '"The answer is" and then the number.',
    "multiple_choice": "If the question offers choices, end with a line that says "
    '"The answer is" and then the letter of the right one.',
    "code": "If the answer is a program, put the whole of it into one code block between lines of "
    "```.",
}
#: What in a conversation says that it asks for the form itself.
ASKED: Final[Mapping[str, re.Pattern[str]]] = {
    "boxed": re.compile(r"\\f?box|####|\b(?:final answer|last line)\b", re.I),
    "last_number": re.compile(r"\\f?box|####|\b(?:answer is|final answer|last line)\b", re.I),
    "multiple_choice": re.compile(r"\\f?box|\b(?:answer is|final answer|last line|letter)\b", re.I),
    "json": re.compile(r"\bjson", re.I),
    "code": re.compile(r"```|\bcode ?block\b", re.I),
}


_NO_TOOLS: Final = ToolUse()


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What a race looks for in its branches."""

    kind: str
    """Of ``[answers]``."""
    schema: Mapping[str, Any] | None = None
    """Of the kind ``json``."""
    optional: bool = False
    """Whether a branch may reply without an answer."""
    use: ToolUse = _NO_TOOLS


@dataclass(frozen=True, slots=True)
class Instruction:
    """A text that a conversation is to hold."""

    text: str
    kind: str
    own: bool
    """Whether somebody wrote it, so that only the same text makes it needless."""
    fields: tuple[str, ...] = ()
    """Names in the schema of the kind ``json``, where there is one."""
    named: bool = False
    """Whether there is such a schema."""

    def needed(self, messages: Sequence[Message]) -> bool:
        """Whether the conversation does not ask for it itself."""
        said = "\n".join(
            str(message.get("content") or "")
            for message in messages
            if message["role"] in ("system", "user")
        )
        if self.text in said:
            return False
        asked = None if self.own else ASKED.get(self.kind)
        if asked is None or asked.search(said) is None:
            return True
        # Who only says that it is to be JSON has not told the model of the schema.
        return self.named and not (self.fields and all(_says(said, name) for name in self.fields))


def _says(said: str, name: str) -> bool:
    """Whether a name stands in what was said, as a word of its own."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) is not None


def instruction_for(
    settings: PromptSettings, asked: str | None, form: AnswerForm, usual: str
) -> Instruction | None:
    """What a conversation is to hold; None: nothing.

    Args:
        asked: for this race: ``auto``, a text of its own, or nothing (empty); None: as in the
            settings.
        form: what is looked for.
        usual: the kind of the settings, which their own text is for.
    """
    wanted = settings.instruction if asked is None else asked
    if not wanted.strip():
        return None
    if wanted != AUTO and (asked is not None or form.kind == usual):
        return Instruction(wanted, form.kind, own=True)
    if form.use.callable and (form.use.required or form.kind == "tool_call"):
        one = form.use.callable[0] if len(form.use.callable) == 1 else None
        what = "one of the tools" if one is None else f"the tool {tool_name(one)}"
        return Instruction(f"Answer with a call of {what}.", "tool_call", own=True)
    if form.use.offered:
        return None  # a call may be the answer: the template tells of it
    if form.kind == "json":
        return _json(form.schema)
    texts = CONDITIONAL if form.optional else INSTRUCTIONS
    text = texts.get(form.kind)
    return None if text is None else Instruction(text, form.kind, own=False)


def _json(schema: Mapping[str, Any] | None) -> Instruction:
    if not schema or schema.keys() == {"type"}:
        what = "an object" if (schema or {}).get("type") == "object" else "a value"
        return Instruction(f"Answer with JSON: {what}, and nothing after it.", "json", own=False)
    properties = schema.get("properties")
    return Instruction(
        f"Answer with JSON that satisfies this schema:\n{orjson.dumps(schema).decode()}",
        "json",
        own=False,
        fields=tuple(properties) if isinstance(properties, dict) else (),
        named=True,
    )


# ── where it stands ───────────────────────────────────────────────────────────────────────────


def fitted(messages: Sequence[Message], chat: ChatSupport) -> Sequence[Message]:
    """``messages`` as the chat template shows them: where it shows nothing of what the system says,
    or only its first message, what is not shown stands in front of the user's next message, or
    behind the last one; messages of the system that follow the first at once become one with it."""
    if chat.system and chat.late_system:
        return messages
    first: list[Message] = []
    if chat.system:
        first = [*takewhile(lambda message: message["role"] == "system", messages)]
        messages = messages[len(first) :]
        if len(first) > 1:
            first = [{**first[0], "content": _joined(*(said["content"] for said in first))}]
    return [*first, *_told_by_users(messages)]


def _told_by_users(messages: Sequence[Message]) -> Sequence[Message]:
    """``messages`` in which users say what the system said."""
    if all(message["role"] != "system" for message in messages):
        return messages
    fitting: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "system":
            waiting.append(message["content"])
        elif message["role"] == "user" and waiting:
            fitting.append({**message, "content": _joined(*waiting, message["content"])})
            waiting = []
        else:
            fitting.append(message)
    if not waiting:
        return fitting
    last = _last_user(fitting)
    if last is None:
        return [*fitting, {"role": "user", "content": _joined(*waiting)}]
    return _behind(fitting, last, _joined(*waiting))


def with_instruction(
    messages: Sequence[Message],
    text: str,
    placement: Placement,
    chat: ChatSupport,
) -> Sequence[Message]:
    """``messages`` with an instruction where the chat template shows it: at the end of what the
    system says first, or behind the last message of the user, if there is one.

    Raises:
        BadRequest: the template does not show what ``placement`` asks for.
    """
    if placement == "system" and not chat.system:
        raise BadRequest(
            "prompt.placement: the model's chat template shows no system message: set it to "
            '"user", or leave it out'
        )
    if placement != "user" and chat.system:
        first = messages[0] if messages else None
        if first is None or first["role"] != "system":
            return [{"role": "system", "content": text}, *messages]
        return [{**first, "content": _joined(first["content"], text)}, *messages[1:]]
    last = _last_user(messages)
    return messages if last is None else _behind(messages, last, text)


def _last_user(messages: Sequence[Message]) -> int | None:
    users = [place for place, message in enumerate(messages) if message["role"] == "user"]
    return users[-1] if users else None


def _behind(messages: Sequence[Message], place: int, text: str) -> list[Message]:
    message = messages[place]
    longer = {**message, "content": _joined(message["content"], text)}
    return [*messages[:place], longer, *messages[place + 1 :]]


def _joined(*texts: str | None) -> str:
    return "\n\n".join(text for text in texts if text)
