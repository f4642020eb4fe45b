"""The real vLLM engine with the embedded model, started once for all tests that can share it."""

import multiprocessing
import os
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.engines.protocol import Engine
from frontrunner.runtime.runtime import Runtime

from ..vllm_server import VllmServer, vllm_server

_PATIENCE = 1_800
#: What vLLM's own server asks its callers for, and the variable that holds it for ours.
SERVER_KEY: Final = "the-key"
SERVER_KEY_VARIABLE: Final = "FRONTRUNNER_TEST_SERVER_KEY"
#: A plugin that vLLM loads in all its processes. Its core and its worker otherwise look for each
#: other's messages without a pause, on the cores that other tests need. (That they wait to be told
#: of one, which they do when none came for a second, loses some: those are found 5 seconds later.)
_PAUSING = """
import time


def register():
    from vllm.distributed.device_communicators import shm_broadcast

    shm_broadcast.sched_yield = lambda: time.sleep(0.0001)
"""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """vLLM needs asyncio; one session-long loop, since an engine lives on the loop it began on."""
    return "asyncio"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """``-m program`` alone looks at the files of such tests only: some of the others import vLLM as
    they are collected, which takes longer than all else that this process does."""
    if config.option.markexpr != "program" or collection_path.suffix != ".py":
        return None
    return None if "mark.program" in collection_path.read_text(encoding="utf-8") else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engine)
            # A guard against hangs, in seconds: an engine's start takes minutes on a busy machine.
            item.add_marker(pytest.mark.timeout(_PATIENCE))


@pytest.fixture(scope="session", autouse=True)
def _forked_cores(request: pytest.FixtureRequest) -> Iterator[None]:
    """vLLM's processes are forked from one that has imported vLLM, which takes most of a start.

    How they are started otherwise (spawned, on a CPU) is seen where a test starts a program of its
    own (``test_embedding.py``, ``test_signals_on_vllm.py`` and vLLM's own server).
    """
    if all(item.get_closest_marker("program") for item in request.session.items):
        yield  # nothing here needs vLLM in this process
        return
    utils = pytest.importorskip("vllm.v1.engine.utils")
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(["tests.engine.preloaded"])  # from this checkout's folder
    registry = pytest.importorskip("vllm.model_executor.models.registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "get_mp_context", lambda: forkserver)
        # What it has not seen before it looks at in a process of its own, which imports vLLM again.
        patch.setattr(registry, "_run_in_subprocess", lambda look: look())
        yield


@pytest.fixture(scope="session")
def demo_settings() -> Settings:
    # FRONTRUNNER_TEST_MODEL names another checkpoint, to try one before it is shipped.
    settings = Settings.from_toml(demo_config_path())
    if model := os.environ.get("FRONTRUNNER_TEST_MODEL"):
        engine = settings.engine.model_copy(update={"model": model})
        settings = settings.model_copy(update={"engine": engine})
    return settings


@pytest.fixture(scope="session")
async def runtime(demo_settings: Settings) -> AsyncGenerator[Runtime, None]:
    async with Runtime.from_config(demo_settings) as started:
        yield started


class _Borrowed:
    """An engine that runs already, and goes on when the runtime that borrows it is closed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


@pytest.fixture(scope="session")
def borrowed(runtime: Runtime) -> Engine:
    """The shared engine, for a second runtime on it."""
    return cast(Engine, _Borrowed(runtime.engine))


def _with_pausing(folder: Path) -> Path:
    """A folder to import from, with the plugin as if it were installed there."""
    (folder / "pausing.py").write_text(_PAUSING)
    (installed := folder / "pausing-1.dist-info").mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: pausing\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "[vllm.general_plugins]\npausing = pausing:register\n"
    )
    return folder


@pytest.fixture(scope="session")
def own_server(
    free_tcp_port_factory: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmServer]:
    """vLLM's own server in a process of its own, with the plugin, races in place, and a key.

    The last test of ``test_vllm_plugin.py`` kills it: no file behind that one finds it alive.
    """
    folder = tmp_path_factory.mktemp("server")
    config = folder / "races.toml"
    config.write_text("[vllm_plugin]\nin_place = true\n")
    environment = {
        "VLLM_PLUGINS": "frontrunner,pausing",
        "FRONTRUNNER_CONFIG": str(config),
        "PYTHONPATH": os.pathsep.join(
            [str(_with_pausing(folder)), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }
    arguments = ["--api-key", SERVER_KEY, "--scheduling-policy", "priority"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SERVER_KEY_VARIABLE, SERVER_KEY)
        port = free_tcp_port_factory()
        with vllm_server(port, folder / "log", environment, arguments) as running:
            yield running
