"""The engine's processes are killed, or stopped, in the middle of a race."""

import multiprocessing.util
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.backends import until

from frontrunner.runtime.config import Settings
from frontrunner.runtime.config.engine import VllmSettings
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.protocol import Engine
from frontrunner.runtime.engines.supervised import SupervisedEngine, Supervision
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.engines.vllm.start import runs_in_core
from frontrunner.runtime.errors import EngineRestarting
from frontrunner.runtime.events.types import BranchProgressed, RaceDecided
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.observability.health import Health
from frontrunner.strategies.protocol import StopReason

#: What a race on a busy machine gets: none of them is to reach it.
_DEADLINE = 300.0


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder; a socket's path may not be as long as those of pytest's are."""
    multiprocessing.util.get_temp_dir()  # is this process's, and not to be made in there
    made = tempfile.mkdtemp(prefix="lost-")
    monkeypatch.setattr(tempfile, "tempdir", made)
    yield Path(made)
    shutil.rmtree(made)


def descendants() -> set[psutil.Process]:
    """All but Python's own resource tracker and fork server, which serve this process to its
    end."""
    found = psutil.Process().children(recursive=True)
    return {p for p in found if not any(s in " ".join(p.cmdline()) for s in _PYTHONS)}


_PYTHONS = ("resource_tracker", "forkserver import main")


def cores(before: set[psutil.Process]) -> list[psutil.Process]:
    return [p for p in descendants() - before if "VLLM::" in " ".join(p.cmdline())]


def shared_memory(engine: SupervisedEngine[VllmEngine]) -> set[Path]:
    started = engine.inner._started
    assert started is not None
    return {*started.processes._shared}


async def lose(runtime: Runtime, question: str, of_engine: list[psutil.Process], by: int) -> Result:
    """The result of a race, while which the engine gets a signal."""
    decided, struck = None, False
    async with runtime.stream(
        question, deadline=_DEADLINE, branches=4, parameters={"stop": "none"}
    ) as events:
        async for event in events:
            if isinstance(event, BranchProgressed) and not struck:
                struck = True
                for process in of_engine:
                    process.send_signal(by)
            if isinstance(event, RaceDecided):
                decided = event.result
    assert decided is not None
    return decided


def inside(folder: Path, pattern: str = "**/*") -> list[Path]:
    return [path for path in folder.glob(pattern) if "torchinductor" not in str(path)]


def is_up(engine: Engine) -> bool:
    return engine.failure is None


async def test_a_killed_and_a_stopped_engine_are_started_again_and_leave_nothing(
    demo_settings: Settings, folder: Path
) -> None:
    before = descendants()
    question = hard_problems("select", 1)[0].question
    own = demo_settings.engine
    assert isinstance(own, VllmSettings)
    # A machine that is busy for a second is no engine that hangs.
    engine = SupervisedEngine(lambda: VllmEngine(own), Supervision(15.0, 3, stable=0.0))
    health = Health(engine, 60.0)
    shared: set[Path] = set()
    async with Runtime(engine, demo_settings) as runtime:
        for restarts, by in enumerate((signal.SIGKILL, signal.SIGSTOP), 1):
            of_engine = cores(before)
            assert len(of_engine) == (1 if runs_in_core({}) else 2)
            assert inside(folder), "its files are there"
            shared |= shared_memory(engine)
            assert health.faults() == []
            result = await lose(runtime, question, of_engine, by)
            assert result.stop_reason is StopReason.FAILED
            assert all(branch.error for branch in result.branches)
            if restarts > engine.restarts:  # else it was quicker
                assert [fault.code for fault in health.faults()] == ["engine_restarting"]
                with pytest.raises(EngineRestarting):
                    await runtime.solve(question, deadline=_DEADLINE)
            await until(lambda: is_up(engine), turns=1_000_000)
            assert engine.restarts == restarts
            assert health.alive
            again = await runtime.solve(question, deadline=_DEADLINE, branches=4)
            assert not any(branch.error for branch in again.branches)
            assert not any(process.is_running() for process in of_engine)
            assert len(inside(folder, "frontrunner-*")) == 1
    assert descendants() - before == set()
    assert not inside(folder, "frontrunner-*")
    assert not any(path.exists() for path in shared)
