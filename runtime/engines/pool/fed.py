"""A request of a pool whose member tells what it generates by a call."""

from collections.abc import Callable, Sequence

import anyio

from ...errors import EngineError
from ..protocol import FinishReason, SupportsFeeding, TokenSink
from .member import Member, PooledRequest


class FedSink:
    """A ``TokenSink`` that keeps a request's tokens, with which it may go on elsewhere."""

    immediate = True  # what is kept back would look like a stall, and be lost with its member

    def __init__(self, live: PooledRequest, sink: TokenSink) -> None:
        self._live, self._sink = live, sink
        self._over = False
        self.dropped = False
        """Whether some of it came when it was to leave its member, and is to be written anew."""
        self.catch_up: Callable[[], None] | None = None

    def put(self, text: str, token_ids: Sequence[int], confidences: Sequence[float] = ()) -> None:
        """See ``TokenSink``; what comes once it has left its member is nobody's."""
        if self._drops():
            return
        self._live.took(token_ids)
        self._live.asked_at = self._live.last  # from now on it waits for the next one
        self._sink.put(text, token_ids, confidences)

    def put_all(
        self,
        texts: Sequence[str],
        token_ids: Sequence[Sequence[int]],
        confidences: Sequence[float] = (),
    ) -> None:
        """See ``TokenSink``."""
        if self._drops():
            return
        for piece in token_ids:
            self._live.took(piece)
        self._live.asked_at = self._live.last
        self._sink.put_all(texts, token_ids, confidences)

    def _drops(self) -> bool:
        self.dropped = self.dropped or (self._live.interrupted and not self._over)
        return self._over or self.dropped

    def end(self) -> None:
        """Take no more."""
        self._over = True


async def feed(
    live: PooledRequest, member: Member, feeder: SupportsFeeding, sink: TokenSink
) -> FinishReason | None:
    """Run a request on a member; None: it is to be left.

    Raises:
        EngineError: it is lost there.
    """
    request, fed = live.begin(member), FedSink(live, sink)
    if live.interrupted:
        return None
    live.asked_at = anyio.current_time()
    finish: FinishReason | None = None
    try:
        with member.awaited(), anyio.CancelScope() as live.scope:
            finish = await feeder.feed(request, fed)
    except EngineError:
        if not live.interrupted:  # else it is only that it was told to end
            raise
    finally:
        fed.end()
        live.scope = live.asked_at = None
    return None if fed.dropped else finish
