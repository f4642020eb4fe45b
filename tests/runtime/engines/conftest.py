"""The engines that must pass the conformance suite.

To add one, write a factory like those below and name it in ``ENGINES``. A factory is called once
for ``engine_under_test``, which all tests of the suite share, and once more for
``engine_to_close``.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.engines.protocol import Engine, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.engines.vllm import VllmEngine

from .conformance import EASY

#: Opens a started engine, and closes it.
Factory = Callable[[], AbstractAsyncContextManager[Engine]]


@asynccontextmanager
async def scripted() -> AsyncGenerator[Engine, None]:
    """Plays a model that writes its position: the same prompt is always continued alike."""
    engine = ScriptedEngine(Script([]))
    easy = engine.encode_chat(EASY)

    def write(request: Generation) -> BranchScript:
        start, length = len(request.prompt), 20 if request.prompt == easy else 3_000
        return BranchScript(tuple(Piece(0.001, f"w{start + n} ") for n in range(length)))

    engine.script.chooser = write
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()


@asynccontextmanager
async def vllm() -> AsyncGenerator[Engine, None]:
    """The real one, with the embedded model."""
    engine = VllmEngine(Settings.from_toml(demo_config_path()).engine)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()


ENGINES = [
    pytest.param(scripted, id="scripted"),
    pytest.param(vllm, id="vllm", marks=pytest.mark.engine),
]


@pytest.fixture(scope="module", params=ENGINES)
def engine_factory(request: pytest.FixtureRequest) -> Factory:
    return request.param


@pytest.fixture(scope="module")
async def engine_under_test(engine_factory: Factory) -> AsyncGenerator[Engine, None]:
    """A started engine that all tests share: they leave it running, and idle."""
    async with engine_factory() as engine:
        yield engine


@pytest.fixture
async def engine_to_close(engine_factory: Factory) -> AsyncGenerator[Engine, None]:
    """A started engine of the test's own."""
    async with engine_factory() as engine:
        yield engine
