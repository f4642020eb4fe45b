"""Runs the conformance suite on every engine that ``conftest.py`` names."""

import pytest

from .conformance import *  # noqa: F403 - the tests are written there


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Asyncio, which vLLM needs; one loop for all tests, since an engine lives on the loop that it
    was started on."""
    return "asyncio"
