"""The engines that must pass the conformance suite.

To add one, write a factory like those below and name it in ``ENGINES``. A factory is called once
for ``engine_under_test``, which all tests of the suite share, and once more for
``engine_to_close``.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from frontrunner.runtime.cost_model.acceptance import Acceptance
from frontrunner.runtime.cost_model.step_time import StepTime
from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.engines.protocol import Engine, Generation
from frontrunner.runtime.engines.ray_serve import RayServeEngine
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.engines.simulated import SimulatedEngine, SimulatedHardware, constant_k
from frontrunner.runtime.engines.vllm.start import model_folder
from frontrunner.runtime.engines.workloads import PlannedOutput

from .conformance import EASY
from .fake_endpoint import endpoint, engine_for, engine_on
from .fake_ray import FakeHandle

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


class _Writing:
    """Everything is answered in 20 tokens or in 3,000; a continuation goes on where it stands."""

    def __init__(self) -> None:
        self.easy: tuple[int, ...] = ()

    def output_of(self, request: Generation, written: int) -> PlannedOutput:
        return PlannedOutput(20 if request.prompt == self.easy else 3_000, "end")


def _simulated(k: int) -> Factory:
    @asynccontextmanager
    async def factory() -> AsyncGenerator[Engine, None]:
        writing = _Writing()
        hardware = SimulatedHardware(
            StepTime(constant=0.0005, row=0.00002),
            Acceptance((0,), (0.6,)),
            constant_k(k),
        )
        engine = SimulatedEngine(hardware, writing)
        writing.easy = engine.encode_chat(EASY)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.aclose()

    return factory


def _remote(**abilities: bool) -> Factory:
    @asynccontextmanager
    async def factory() -> AsyncGenerator[Engine, None]:
        def length(prompt: str) -> int:
            return 20 if len(prompt.split()) < 10 else 3_000

        async with endpoint(length=length, **abilities) as fake, engine_on(fake) as engine:
            yield engine

    return factory


@asynccontextmanager
async def _pool() -> AsyncGenerator[Engine, None]:
    """Two endpoints that write alike."""

    def length(prompt: str) -> int:
        return 20 if len(prompt.split()) < 10 else 3_000

    async with endpoint(length=length) as one, endpoint(length=length) as other:
        engine = PoolEngine({"one": engine_for(one), "other": engine_for(other)})
        await engine.start()
        try:
            yield engine
        finally:
            await engine.aclose()


@asynccontextmanager
async def _ray() -> AsyncGenerator[Engine, None]:
    """One replica behind a handle of Ray Serve's."""
    pytest.importorskip("transformers")
    async with scripted() as replica:
        assert isinstance(replica, ScriptedEngine)
        engine = RayServeEngine(FakeHandle(replica), model_folder("demo"), replicas=2)
        easy: list[tuple[int, ...]] = []

        def write(request: Generation) -> BranchScript:
            start, length = len(request.prompt), 20 if request.prompt in easy else 3_000
            return BranchScript(tuple(Piece(0.001, f"w{start + n} ") for n in range(length)))

        replica.script.chooser = write
        await engine.start()
        easy.append(engine.encode_chat(EASY))
        try:
            yield engine
        finally:
            await engine.aclose()


ENGINES = [
    pytest.param(scripted, id="scripted"),
    pytest.param(_simulated(0), id="simulated"),
    pytest.param(_simulated(3), id="simulated-speculating"),
    pytest.param(_pool, id="pool"),
    pytest.param(_ray, id="ray"),
    pytest.param(_remote(), id="openai-token-ids"),
    pytest.param(_remote(vllm=False), id="openai-text"),
    pytest.param(_remote(vllm=False, completions=False, logprobs=False), id="openai-chat"),
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
