"""A request's body, from its bytes to a checked model, without holding up others."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel

from ...config import ServerSettings
from ...engines.protocol import Message
from ...prompts.history import read_message
from .limits import parse_json, parse_request, read_body
from .request_options import Sampled, checked, checked_item
from .slices import SLICES, Slices, is_large

S = TypeVar("S", bound=Sampled)

#: A message, and an item: it stands for a long list while the rest of a request is checked.
_SOME_ITEM: Final = {"role": "user", "content": ""}


async def read_request(request: web.Request, model: type[S], settings: ServerSettings) -> S:
    """The body of a request.

    Raises:
        TooLarge, UnsupportedEncoding, BadRequest: see ``read_body`` and ``parse_request``.
        BadParameter: naming the field that is not as it must be.
    """
    slices = request.app[SLICES]
    data = await read_body(request, settings)
    said = await parse_request(data, settings.json_depth, slices)
    return await checked_in_slices(model, said, slices, len(data))


async def checked_in_slices(model: type[S], said: Any, slices: Slices, size: int) -> S:
    """``said``, which ``size`` bytes of JSON say, as ``model``; the items of its long list are
    checked one by one, so that others have their turns.

    Raises:
        BadParameter: naming the field that is not as it must be.
    """
    name, item = model.LONG_LIST or ("", None)
    long = said.get(name) if isinstance(said, dict) and is_large(size) else None
    if item is None or not isinstance(long, list) or not long:
        async with slices.turn_for(size):
            return checked(model, said)
    async with slices.turn_for(size):  # the rest, which may be refused at once
        body = checked(model, {**said, name: [_SOME_ITEM]})
    items = list[Any]()
    await slices.each(
        cast(list[Any], long),
        _raw_weight,
        lambda place, value: items.append(checked_item(item, value, name, place)),
    )
    return body.model_copy(update={name: items})


def _raw_weight(value: Any) -> int:
    """``weight``, before it is known to be a message or an item."""
    if not isinstance(value, dict):
        return 1
    held = (cast(dict[str, Any], value).get(key) for key in ("content", "tool_calls", "output"))
    return 1 + sum(len(cast(list[Any], of)) for of in held if isinstance(of, list))


def weight(item: BaseModel) -> int:
    """How much work it is to read a message or an item: its parts and calls."""
    held = item.__dict__  # a model without such a field takes its time to say so
    return 1 + sum(
        len(of) for of in (held.get("content"), held.get("tool_calls")) if isinstance(of, list)
    )


async def read_messages(messages: Sequence[BaseModel], slices: Slices) -> list[Message]:
    """The messages of a chat as turns.

    Raises:
        BadRequest: the arguments of a call are none.
    """
    turns: list[Message] = []

    def read(place: int, message: BaseModel) -> None:
        turn, _ = read_message(message, f"messages[{place}]", parse_json)
        turns.append(turn)

    await slices.each(messages, weight, read)
    return turns
