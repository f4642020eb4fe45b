"""What clients ask for leaves nothing to the garbage collector, however they leave: it would stay
until the next full collection, and the more races run the rarer those are."""

import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.backends import until

from frontrunner.runtime.engines import BranchScript
from frontrunner.runtime.serving.runs.run import RUNS

from .conftest import ENDLESS, Serve, Served

#: Objects that hold what a race has told, or what it is. (A task group of anyio's leaves the frames
#: of tasks that were cancelled, and with them who encodes the replies of a websocket.)
HEAVY = {
    "Branch", "BranchState", "EventPublisher", "GrowingText", "Race", "RaceCore", "ReplayBuffer",
    "Run", "Telling",
}  # fmt: skip


@contextmanager
def garbage() -> Iterator[Counter[str]]:
    """The types of what a block leaves in cycles, once it has ended."""
    left = Counter[str]()
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield left
        gc.collect()
        left.update(type(thing).__name__ for thing in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if enabled:
            gc.enable()


async def read_to_its_end(served: Served) -> None:
    asked = {"messages": [{"role": "user", "content": "?"}], "stream": True}
    async with served.http.post("/v1/chat/completions", json=asked) as reply:
        assert reply.status == 200
        assert (await reply.read()).endswith(b"[DONE]\n\n")


async def leave(served: Served) -> None:
    asked = {"messages": [{"role": "user", "content": "?"}], "stream": True}
    async with served.http.post("/v1/chat/completions", json=asked) as reply:
        assert reply.status == 200
        await reply.content.readany()
        reply.close()


async def websocket(served: Served) -> None:
    async with served.http.ws_connect("/v1/responses") as socket:
        await socket.send_json({"type": "response.create", "input": "?", "store": False})
        while (await socket.receive_json())["type"] != "response.completed":
            pass


async def leave_a_websocket(served: Served) -> None:
    async with served.http.ws_connect("/v1/responses") as socket:
        await socket.send_json({"type": "response.create", "input": "?", "store": False})
        while "delta" not in (await socket.receive_json()):
            pass


@pytest.mark.parametrize(
    ("client", "branch"),
    [
        (read_to_its_end, None),
        (leave, ENDLESS),
        (websocket, None),
        (leave_a_websocket, ENDLESS),
    ],
)
async def test_a_client_leaves_no_race_to_the_collector(
    client: Callable[[Served], Awaitable[None]], branch: BranchScript | None, serve: Serve
) -> None:
    branches = [] if branch is None else [branch]
    async with serve(*branches) as served:
        await client(served)  # what is made once
        await served.idle()
        with garbage() as left:
            for _ in range(3):
                await client(served)
            await served.idle()
            await until(lambda: served.app[RUNS].running == 0)
    assert not HEAVY & set(left), left
