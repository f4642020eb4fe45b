"""What a request wants for a reply, in both APIs: tools, formats, and what its content is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ...engines.chat_template import PLAIN_STOP
from ...prompts.instructions import AUTO
from ...prompts.tool_choice import tool_use
from ...racing.race_options import AnswerOptions, answer_kind
from ..app_keys import RUNTIME, SETTINGS
from ..requests.request_options import FrontrunnerOptions
from ..requests.response_format import JsonReply
from .content import ReplyForm


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says about its reply, in the words of neither API."""

    options: FrontrunnerOptions
    format: JsonReply | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    """In OpenAI's nested form."""
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    """Of the content."""
    template_arguments: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ReplyKind:
    """What a race is told, and how its replies are."""

    race: Mapping[str, Any]
    """Of ``RaceOptions``; what is not said is None."""
    form: ReplyForm


def reply_kind(app: web.Application, asked: Asked, count: Callable[[str], int]) -> ReplyKind:
    """
    Args:
        count: the tokens of a text.

    Raises:
        BadRequest: what is asked for does not go together.
    """
    use = tool_use(asked.tools, asked.tool_choice, asked.parallel_tool_calls)
    options = asked.options
    said: str | AnswerOptions | None = options.answer_options()
    if asked.format is not None:
        said = asked.format.answers(said)
    kind = answer_kind(said)
    content = options.content or ("answer" if kind is not None else app[SETTINGS].content)
    if kind is None and not use.required and (content == "reply" or use.callable):
        # Nobody asked for an answer of the usual kind: what has none is a reply all the same.
        more: AnswerOptions = {} if said is None or isinstance(said, str) else said
        said = {**more, "optional": True}
    # Who asks for a format or a call must have the model told so, whatever the settings say.
    needed = AUTO if asked.format is not None or use.required else None
    race = {
        "answers": said,
        "instruction": needed if options.instruction is None else options.instruction,
        "template_arguments": asked.template_arguments,
        "tools": asked.tools,
        "tool_choice": asked.tool_choice,
        "parallel_tool_calls": asked.parallel_tool_calls,
    }
    # Where there is no chat template a branch ends in the beginning of the next question.
    ends = () if app[RUNTIME].engine.info.chat.template else (PLAIN_STOP,)
    form = ReplyForm(
        content,
        exact=options.content == "reply",
        stop=(*asked.stop, *ends),
        max_tokens=asked.max_tokens,
        calls=bool(use.callable) or kind == "tool_call",
        stream_leader=options.stream_leader,
        only_answers=asked.format is not None or use.required,
        count=count,
    )
    return ReplyKind(race, form)
