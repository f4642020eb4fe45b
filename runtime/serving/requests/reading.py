"""A request's body, from its bytes to a checked model, without holding up others."""

from collections.abc import Sequence
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel

from ...config import ServerSettings
from ...engines.protocol import Message
from ...prompts.history import read_message
from .limits import parse_json, parse_request, read_body
from .options import checked
from .slices import SLICES, Slices

B = TypeVar("B", bound=BaseModel)


async def read_request(request: web.Request, model: type[B], settings: ServerSettings) -> B:
    """The body of a request.

    Raises:
        TooLarge, UnsupportedEncoding, BadRequest: see ``read_json``.
        BadParameter: naming the field that is not as it must be.
    """
    slices = request.app[SLICES]
    data = await read_body(request, settings)
    said = await parse_request(data, settings.json_depth, slices)
    async with slices.turn_for(len(data)):
        return checked(model, said)


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
