"""Runs the conformance suite on vLLM, with the engine that all tests here share."""

from collections.abc import AsyncGenerator

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.engines.protocol import Engine
from frontrunner.runtime.runtime import Runtime

from ..runtime.engines.conformance import *  # noqa: F403 - the tests are written there


@pytest.fixture
def engine_under_test(runtime: Runtime) -> Engine:
    return runtime.engine


@pytest.fixture
async def engine_to_close(demo_settings: Settings) -> AsyncGenerator[Engine, None]:
    engine = make_engine(demo_settings.engine)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()
