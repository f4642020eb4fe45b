"""How often commands that run races let Python look for cycles."""

import gc

import anyio

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
            for races, rarer in ((0, 1), (1, 2), (2, 6)):
                for _ in range(races):
                    tasks.start_soon(runtime.solve, "?")
                await anyio.sleep(1.0)
                gc.collect(1)
                assert gc.get_threshold() == (*usual[:2], rarer * usual[2])
            await anyio.sleep(20.0)
            gc.collect(1)
            assert gc.get_threshold() == usual  # none runs
            tasks.start_soon(runtime.solve, "?")
            await anyio.sleep(1.0)
            gc.collect(1)
            assert gc.get_threshold() != usual
        gc.collect(1)
        assert gc.get_threshold() == usual  # though a race goes on
        tasks.cancel_scope.cancel()
    assert not gc.get_freeze_count()
