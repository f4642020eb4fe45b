"""Ids that spell out what they stand for.

A race handles a prompt as token ids, and makes continuations by putting ids behind one another.
Where the tokenizer is at the other end of a connection, or nowhere, these ids take their place: the
text (or the conversation) itself, written as a number. Nothing has to be remembered to read one.

A text becomes one unit: as many ids as it may have tokens, of which the last ones carry it and the
others nothing. Whoever cuts a sequence within a unit therefore loses the unit, as ``Text.up_to``
does with the piece of text that it came with.

Ids of real tokens lie below 2**40, spelled ones above.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from ..chat_template import tool_messages
from ..protocol import Message, ToolTurn

#: UTF-8 bytes a token: few, since a prompt taken for longer than it is only costs some room.
_BYTES_PER_TOKEN = 3
#: Tokens that a chat template spends on a turn.
_TOKENS_PER_TURN = 8
#: UTF-8 bytes that one id carries at most: Python refuses to print longer numbers.
_BYTES_PER_ID = 1024
_SHIFT = 40  # bits; keeps spelled ids apart from those of tokens
# The first byte of what an id spells. The mark keeps the number's leading zeros.
_MARK, _FIRST, _LAST, _CHAT, _RAW, _RESULTS = 8, 1, 2, 4, 16, 32
_NOTHING = _MARK << _SHIFT


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages, tools and the template's variables, as JSON: what ``Engine.encode_chat`` was
    given."""

    json: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """As endpoints take them: templates want the arguments of a call as data, OpenAI's API has
        them as JSON in a string. Reasoning goes by both its names: vLLM's servers read
        ``reasoning``, and hand it to the template as ``reasoning_content``."""
        messages: list[dict[str, Any]] = json.loads(self.json)["messages"]
        for message in messages:
            if (reasoning := message.get("reasoning_content")) is not None:
                message["reasoning"] = reasoning
            for call in message.get("tool_calls") or ():
                function = call["function"]
                if not isinstance(function["arguments"], str):
                    function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
        return messages

    @property
    def tools(self) -> list[dict[str, Any]]:
        return json.loads(self.json)["tools"]

    @property
    def arguments(self) -> dict[str, Any]:
        """The variables of the chat template."""
        return json.loads(self.json).get("arguments", {})


@dataclass(frozen=True, slots=True)
class RawText:
    """A raw prompt, which begins with the special tokens that its tokenizer puts there."""

    text: str


@dataclass(frozen=True, slots=True)
class Results:
    """Results of calls between two turns of the assistant, as JSON: what ``tool_turn`` was
    given."""

    json: str

    @property
    def called(self) -> Conversation:
        """A conversation that ends with the calls."""
        return self._conversation(results=False)

    @property
    def answered(self) -> Conversation:
        """The same with their results."""
        return self._conversation(results=True)

    @property
    def last_token(self) -> int | None:
        """The one that the assistant's turn ended with."""
        return json.loads(self.json)["last_token"]

    def _conversation(self, *, results: bool) -> Conversation:
        told = json.loads(self.json)
        messages = [*told["asked"], *(told["results"] if results else ())]
        return Conversation(conversation_json(messages, told["tools"], told["arguments"]))


#: What a run of ids stands for: tokens, a text, a raw prompt, a conversation, or results in it.
Part = tuple[int, ...] | str | RawText | Conversation | Results


def spell(text: str) -> tuple[int, ...]:
    """Ids for a text, roughly as many as it has tokens; none for no text."""
    size = len(text.encode("utf-8", "replace"))
    return spell_piece(text, ceil(size / _BYTES_PER_TOKEN))


def spell_piece(text: str, tokens: int) -> tuple[int, ...]:
    """Ids for a text that has ``tokens`` tokens: as many, if the text is at most 1 KiB each."""
    return _spell(text.encode("utf-8", "replace"), 0, tokens) if text else (_NOTHING,) * tokens


def spell_raw(text: str) -> tuple[int, ...]:
    """Ids for a raw prompt, roughly as many as it has tokens; none for no text."""
    data = text.encode("utf-8", "replace")
    return _spell(data, _RAW, 1 + ceil(len(data) / _BYTES_PER_TOKEN)) if data else ()


def spell_conversation(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None,
    arguments: Mapping[str, Any] | None = None,
) -> tuple[int, ...]:
    """Ids for a conversation, roughly as many as it has tokens.

    Raises:
        TypeError, ValueError: JSON cannot say it.
    """
    data = conversation_json(messages, tools, arguments).encode("utf-8", "replace")
    said = sum(len(str(m.get("content") or "").encode("utf-8", "replace")) for m in messages)
    said += len(json.dumps([dict(t) for t in tools])) if tools else 0
    return _spell(data, _CHAT, ceil(said / _BYTES_PER_TOKEN) + _TOKENS_PER_TURN * len(messages))


def spell_results(turn: ToolTurn, arguments: Mapping[str, Any]) -> tuple[int, ...]:
    """Ids for results of calls, roughly as many as they have tokens.

    Args:
        arguments: variables of the chat template.
    """
    asked, results = tool_messages(turn)
    told = {
        "asked": asked,
        "results": results,
        "last_token": turn.last_token,
        "tools": [dict(tool) for tool in turn.tools],
        "arguments": dict(arguments),
    }
    said = sum(len(result.encode("utf-8", "replace")) for result in turn.results)
    tokens = ceil(said / _BYTES_PER_TOKEN) + _TOKENS_PER_TURN * (1 + len(turn.results))
    data = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    return _spell(data, _RESULTS, tokens)


def conversation_json(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None,
    arguments: Mapping[str, Any] | None = None,
) -> str:
    """What a ``Conversation`` holds.

    Raises:
        TypeError, ValueError: JSON cannot say it.
    """
    content: dict[str, Any] = {
        "messages": [dict(m) for m in messages],
        "tools": [dict(t) for t in tools or ()],
    }
    if arguments:
        content["arguments"] = dict(arguments)
    return json.dumps(content, ensure_ascii=False)


def read_parts(ids: Iterable[int]) -> list[Part]:
    """What the ids stand for, in order; tokens that follow one another are one part."""
    parts: list[Part] = []
    tokens: list[int] = []
    spelled = bytearray()
    for number in ids:
        if number < _NOTHING:
            tokens.append(number)
            continue
        if tokens:
            parts.append(tuple(tokens))
            tokens = []
        if number == _NOTHING:
            continue
        number >>= _SHIFT
        head, *payload = number.to_bytes((number.bit_length() + 7) // 8, "big")
        if head & _FIRST:
            spelled.clear()  # what is there was cut off
        spelled += bytes(payload)
        if head & _LAST:
            text = spelled.decode("utf-8", "replace")
            parts.append(_part(head, text))
            spelled.clear()
    if tokens:
        parts.append(tuple(tokens))
    return parts


def _part(head: int, text: str) -> Part:
    if head & _CHAT:
        return Conversation(text)
    if head & _RESULTS:
        return Results(text)
    return RawText(text) if head & _RAW else text


def _spell(data: bytes, kind: int, tokens: int) -> tuple[int, ...]:
    pieces = [data[i : i + _BYTES_PER_ID] for i in range(0, len(data), _BYTES_PER_ID)]
    numbers: list[int] = []
    for index, piece in enumerate(pieces):
        head = _MARK | kind
        head |= _FIRST if index == 0 else 0
        head |= _LAST if index == len(pieces) - 1 else 0
        numbers.append(int.from_bytes(bytes([head]) + piece, "big") << _SHIFT)
    return (*(_NOTHING,) * (tokens - len(numbers)), *numbers)
