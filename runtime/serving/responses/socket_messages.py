"""What a client says on the websocket."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import BadParameter
from ..requests.limits import parse_request
from ..requests.request_body import checked_in_slices
from ..requests.request_options import checked
from ..requests.slices import Slices
from .bodies import ResponseBody

_Name = Annotated[str, Field(min_length=1, max_length=128)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class Cancel(_Message):
    """End a response now. Without an id: the one in progress on this lane, or the only one on this
    connection."""

    type: Literal["response.cancel"]
    response_id: _Name | None = None
    stream_id: _Name | None = None


class Resume(_Message):
    """Send the events of a response again, from ``starting_after`` + 1 on, and then those to come;
    without a number from the first one."""

    type: Literal["response.resume"]
    response_id: _Name
    starting_after: Annotated[int, Field(ge=-1)] = -1
    stream_id: _Name | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Begin a response."""

    body: ResponseBody
    size: int = 0  # of the message, in characters

    @property
    def stream_id(self) -> str | None:
        """The lane: responses of one lane come one after another."""
        return self.body.stream_id


SocketMessage = Create | Cancel | Resume


async def read_message(data: str, depth: int, slices: Slices) -> SocketMessage:
    """The message that ``data`` says.

    Args:
        data: JSON.
        depth: how deep it may be nested.
        slices: in which a large one is read.

    Raises:
        BadRequest: it is none; ``BadParameter`` names what is wrong in it.
    """
    said = await parse_request(data, depth, slices)
    if not isinstance(said, dict):
        raise BadParameter("a message is a JSON object")
    match said.get("type"):
        case "response.create":
            body = await checked_in_slices(ResponseBody, said, slices, len(data))
            return Create(body, len(data))
        case "response.cancel":
            return checked(Cancel, said)
        case "response.resume":
            return checked(Resume, said)
        case _:
            raise BadParameter(
                "`type` must be response.create, response.cancel or response.resume", "type"
            )
