"""The real vLLM engine with the embedded model, started once for all tests here."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.runtime import Runtime


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """vLLM needs asyncio; one session-long loop, since an engine lives on the loop it began on."""
    return "asyncio"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engine)


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
