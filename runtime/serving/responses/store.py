"""Responses that may be asked for again, and conversations that may go on."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from ...common.json_bytes import json_bytes
from ...engines.protocol import Message
from ..errors import NotFound
from ..reply_bodies import Response
from .bodies import reply_turns
from .encoder import ResponseEncoder, response_of

#: Seconds for which a response can be asked for, and its conversation be continued.
KEPT_SECONDS = 3600.0
#: Bytes of all that is kept, about.
KEPT_BYTES = 64 << 20
#: Responses kept.
KEPT_RESPONSES = 4096


@dataclass(slots=True)
class _Kept:
    encoder: ResponseEncoder
    owner: str | None
    turns: tuple[Message, ...]  # without instructions, which are for one response only
    began: float
    size: int


class ResponseStore:
    """Keeps responses in memory, the newest ones; what is too much or too old goes."""

    def __init__(
        self,
        *,
        seconds: float = KEPT_SECONDS,
        size: int = KEPT_BYTES,
        count: int = KEPT_RESPONSES,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._seconds, self._room, self._most, self._clock = seconds, size, count, clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # oldest first
        self._size = 0

    def __contains__(self, response_id: object) -> bool:
        """Whether a response is kept, whosever it is."""
        return response_id in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return self._size

    def add(
        self,
        response_id: str,
        encoder: ResponseEncoder,
        owner: str | None,
        turns: Sequence[Message],
    ) -> None:
        """Keep a response that has begun.

        Args:
            response_id: under which it can be asked for.
            encoder: which knows it, now and when it has ended.
            owner: the only one who gets it.
            turns: the conversation that it answers, without instructions.
        """
        size = len(json_bytes(turns)) + len(json_bytes(encoder.response))
        self._kept[response_id] = _Kept(encoder, owner, tuple(turns), self._clock(), size)
        self._size += size
        self._forget()

    def ended(self, response_id: str) -> None:
        """Count what a response has become."""
        if (kept := self._kept.get(response_id)) is not None:
            size = len(json_bytes(kept.turns)) + len(json_bytes(kept.encoder.response))
            self._size += size - kept.size
            kept.size = size
            self._forget()

    def response(self, response_id: str, owner: str | None) -> Response:
        """The response object as it stands.

        Raises:
            NotFound: it is not kept (any more), or somebody else's.
        """
        return self._find(response_id, owner).encoder.snapshot()

    def item(self, item_id: str, owner: str | None) -> Mapping[str, Any]:
        """The output item with this id.

        Raises:
            NotFound: it is not kept (any more), or somebody else's.
        """
        response_id = response_of(item_id)
        if response_id is not None and response_id in self._kept:
            output = self._find(response_id, owner).encoder.response["output"]
            for item in output:
                if item["id"] == item_id:
                    return item
        raise NotFound(
            f"there is no item {item_id[:100]!r}, or not any more: items are kept with their "
            f"responses, for {self._seconds:g} s, unless `store` is false; send the item itself"
        )

    def conversation(self, response_id: str, owner: str | None) -> list[Message]:
        """What was said up to this response, and what it said.

        Raises:
            NotFound: it is not kept (any more), somebody else's, or has not ended.
        """
        kept = self._find(response_id, owner)
        response = kept.encoder.response
        if response["status"] == "in_progress":
            raise NotFound(f"response {response_id!r} has not ended yet")
        return [*kept.turns, *reply_turns(response["output"])]

    def delete(self, response_id: str, owner: str | None) -> None:
        """Forget a response.

        Raises:
            NotFound: it is not kept (any more), or somebody else's.
        """
        self._size -= self._find(response_id, owner).size
        del self._kept[response_id]

    def _find(self, response_id: str, owner: str | None) -> _Kept:
        self._forget()
        kept = self._kept.get(response_id)
        if kept is None or kept.owner != owner:
            raise NotFound(
                f"response {response_id[:100]!r} is not here: responses are kept for "
                f"{self._seconds:g} s, as many as there is room for, unless `store` is false"
            )
        return kept

    def _forget(self) -> None:
        old = self._clock() - self._seconds
        while self._kept:
            first = next(iter(self._kept.values()))
            fits = len(self._kept) <= self._most and self._size <= self._room
            if fits and first.began >= old:
                return
            self._size -= first.size
            self._kept.popitem(last=False)
