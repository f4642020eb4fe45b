"""A race leaves nothing to the garbage collector, whose pauses would be everybody's."""

import gc

import anyio
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime

from ...backends import virtual_asyncio


def writing(tokens: int) -> BranchScript:
    return BranchScript((*(Piece(0.1, "hm ") for _ in range(tokens)), Piece(0.1, "\\boxed{42}")))


@virtual_asyncio
@pytest.mark.parametrize(
    ("deadline", "stop", "slowest"),
    [(0.5, "none", 20), (60.0, "none", 20), (60.0, "clinch", 400)],
    ids=["called", "ends by itself", "losers cut"],
)
async def test_a_race_leaves_nothing_to_the_collector(
    deadline: float, stop: str, slowest: int
) -> None:
    forced = BranchScript((Piece(0.001, "42}"),))
    script = Script([*[writing(20)] * 5, *[writing(slowest)] * 3], [forced])
    engine = ScriptedEngine(script)
    options = {"branches": 8, "deadline": deadline, "parameters": {"stop": stop}}
    async with Runtime(engine, Settings()) as runtime:
        await runtime.solve("?", **options)  # what is made once
        await anyio.sleep(1.0)
        enabled = gc.isenabled()
        gc.disable()
        try:
            gc.collect()
            gc.set_debug(gc.DEBUG_SAVEALL)
            result = await runtime.solve("?", **options)
            await anyio.sleep(1.0)
            gc.collect()
            left = [type(thing) for thing in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            if enabled:
                gc.enable()
        assert result.answer == "42"
        assert not [kind for kind in left if kind.__module__.startswith("frontrunner")]
        assert len(left) < 8, left  # fewer than branches
