"""Questions as callers have them, and as chat templates take them.

Whoever embeds a runtime has messages in OpenAI's form as plain dictionaries, as the typed ones of
the openai package, or as the objects that its replies hold; the server has read its requests' with
the same reader (``history``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from ..engines.protocol import Message
from ..errors import BadRequest, EmptyQuestion
from .history import ChatMessage, read_message
from .plain_values import check_value


class Conversation(list[Message]):
    """Turns that were read already: chat templates take them as they are."""


def plain_messages(question: str | Iterable[ChatMessage]) -> Sequence[Message]:
    """The conversation that ``question`` stands for, the text of each turn in one piece.

    Raises:
        EmptyQuestion: it says nothing.
        BadRequest: a message is none, or holds something else than text; ``param`` says which.
    """
    if isinstance(question, str):
        if not question.strip():
            raise EmptyQuestion
        check_value(question, "messages")
        return [{"role": "user", "content": question}]
    if isinstance(question, Conversation):
        return _saying(question)
    if isinstance(question, Mapping | bytes) or not isinstance(question, Iterable):
        raise BadRequest(
            "messages: pass text or a list of chat messages, not "
            + ("None" if question is None else type(question).__name__),
            "messages",
        )
    read = [read_message(message, f"messages[{i}]") for i, message in enumerate(question)]
    turns = _saying(cast(Sequence[Message], [turn for turn, _ in read]))
    for index, (turn, said) in enumerate(read):
        if not said and turn["role"] != "assistant":  # which made calls, or was cut short
            path = f"messages[{index}].content"
            raise BadRequest(f"{path}: text is missing", path)
    return turns


def _saying(turns: Sequence[Message]) -> Sequence[Message]:
    """``turns``, at least one of which says something.

    Raises:
        EmptyQuestion: none does.
        BadRequest: one holds what is no text.
    """
    check_value(turns, "messages")
    if not any(turn["content"] and turn["content"].strip() for turn in turns):
        raise EmptyQuestion
    return turns
