"""What a vLLM request generates, told by a call in vLLM's own output loop.

``AsyncLLM.generate`` puts a request's outputs in a collector and wakes the task that reads it: once
for every token of every branch. Here the collector's ``put`` itself is what tells; the task that
asked sleeps until the request has ended.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from ..protocol import FinishReason

if TYPE_CHECKING:
    from vllm.outputs import PoolingRequestOutput, RequestOutput
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.engine.output_processor import RequestOutputCollector

#: Seconds that telling vLLM of a request that nobody reads any more may take.
_ABORT_LIMIT = 1.0


class _Reading:
    """Stands for a collector's ``put``."""

    def __init__(self, take: "Callable[[RequestOutput], FinishReason | None]") -> None:
        self._take = take
        self.finish: FinishReason | None = None
        self.error: Exception | None = None
        self.ended = anyio.Event()

    def put(self, output: "RequestOutput | PoolingRequestOutput | Exception") -> None:
        """Take an output. It raises nothing: vLLM's output loop is everybody's."""
        if self.ended.is_set():
            return
        try:
            if isinstance(output, Exception):
                raise output
            self.finish = self._take(output)  # type: ignore[arg-type] - it generates, and pools not
        except Exception as error:  # noqa: BLE001 - raised to whoever asked
            self.error = error
        if self.finish is not None or self.error is not None:
            self.ended.set()


async def read_by_call(
    llm: "AsyncLLM",
    ask: "Callable[[], Awaitable[RequestOutputCollector]]",
    take: "Callable[[RequestOutput], FinishReason | None]",
) -> FinishReason:
    """Run a request to its end.

    Args:
        ask: adds the request, with outputs of the kind ``DELTA``.
        take: told each output; returns why the request ended, once it has.

    Raises:
        What vLLM, or ``take``, raises.

    Cancelling it aborts the request.
    """
    collector, reading = await ask(), _Reading(take)
    try:
        collector.put = reading.put  # type: ignore[method-assign]
        if (before := collector.output) is not None:  # it came before anybody could listen
            collector.output = None
            reading.put(before)
        await reading.ended.wait()
    finally:
        if not reading.ended.is_set() or reading.finish is None:
            with anyio.move_on_after(_ABORT_LIMIT, shield=True):
                await llm.abort(collector.request_id, internal=True)
        collector.close()
    if reading.error is not None:
        raise reading.error
    assert reading.finish is not None
    return reading.finish
