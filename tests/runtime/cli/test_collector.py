"""How often commands that run races let Python look for cycles."""

import gc

import anyio
import pytest

from frontrunner.runtime.cli.common.collector import collector_spared
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime

from ...backends import virtual_asyncio


@virtual_asyncio
async def test_full_collections_are_as_rare_as_many_branches_run() -> None:
    usual = gc.get_threshold()
    engine = ScriptedEngine(Script([BranchScript.answering("42", seconds=5.0)]))
    settings = Settings.from_dict({"race": {"branches": 64, "deadline": 10.0}})
    async with Runtime(engine, settings) as runtime, anyio.create_task_group() as tasks:
        with collector_spared(runtime):
            often = gc.get_threshold()
            assert often[1] * often[2] == pytest.approx(usual[1] * usual[2], rel=0.05)
            for races, rarer in ((0, 1), (1, 2), (2, 6)):
                for _ in range(races):
                    tasks.start_soon(runtime.solve, "?")
                await anyio.sleep(1.0)
                gc.collect(1)
                assert gc.get_threshold()[2] == pytest.approx(rarer * often[2], rel=0.05)
                assert gc.get_threshold()[:2] == often[:2]
            await anyio.sleep(20.0)
            gc.collect(1)
            assert gc.get_threshold() == often  # none runs
            tasks.start_soon(runtime.solve, "?")
            await anyio.sleep(1.0)
            gc.collect(1)
            assert gc.get_threshold() != often
        gc.collect(1)
        assert gc.get_threshold() == usual  # though a race goes on
        tasks.cancel_scope.cancel()
    assert not gc.get_freeze_count()
