"""The engine's process is killed in the middle of a race."""

import anyio
import psutil
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.vllm.start import runs_in_core
from frontrunner.runtime.events.types import BranchProgressed, RaceDecided
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import StopReason


def descendants() -> set[psutil.Process]:
    """All but Python's own resource tracker, which serves this process to its end."""
    children = psutil.Process().children(recursive=True)
    return {child for child in children if "resource_tracker" not in " ".join(child.cmdline())}


@pytest.mark.usefixtures("spawned_cores")
async def test_a_killed_engine_costs_the_answer_and_not_the_deadline(
    demo_settings: Settings,
) -> None:
    before = descendants()
    question = hard_problems("select", 1)[0].question
    async with Runtime.from_config(demo_settings) as runtime:
        mine = descendants() - before
        of_engine = [p for p in mine if "VLLM::" in " ".join(p.cmdline())]
        assert len(of_engine) == (1 if runs_in_core({}) else 2)
        async with runtime.stream(
            question, deadline=8.0, branches=4, parameters={"stop": "none"}
        ) as events:
            killed, decided = False, None
            async for event in events:
                if isinstance(event, BranchProgressed) and not killed:
                    killed = True
                    for process in mine:
                        process.kill()
                if isinstance(event, RaceDecided):
                    decided = event.result
        assert decided is not None
        assert decided.stop_reason is StopReason.FAILED
        assert all(b.error for b in decided.branches)
        assert runtime.engine.failure is not None
        # The next race is told at once.
        with anyio.fail_after(60):
            assert (await runtime.solve(question, deadline=300.0)).stop_reason is StopReason.FAILED
    assert descendants() - before == set()
