"""What all tests share: the event loops they run on, and quiet logs."""

import gc
import logging
from collections.abc import Generator, Iterator

import pytest
import structlog
import trio.testing
from anyio import pytest_plugin
from tests.profiles import register_profiles

from frontrunner._virtual_time import VirtualLoop

# Helpers that assert: pytest explains their failures only if it is told about them.
pytest.register_assert_rewrite(
    "tests.backends",
    "tests.runtime.racing",
    "tests.runtime.engines.conformance",
    "tests.strategies.any_race",
    "tests.strategies.views",
)

register_profiles()


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Trio in virtual time, unless a test says otherwise (see ``backends.every_backend``)."""
    # anyio would silently run the test on that loop: in real time, or for ever.
    assert pytest_plugin._current_runner is None, (
        "an async fixture of a wider scope still holds its event loop; mark its tests `engine`, "
        "which come last, or narrow its scope"
    )
    match getattr(request, "param", "virtual"):
        case "asyncio":
            from tests.backends import STEADY_ASYNCIO  # after it was registered above

            return STEADY_ASYNCIO
        case "virtual-asyncio":
            return "asyncio", {"loop_factory": VirtualLoop}
        case "uvloop":
            pytest.importorskip("uvloop")
            return "asyncio", {"use_uvloop": True}
        case _:
            return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Without the garbage collector, which looks again and again at all that is imported here: a
    quarter of what looking for tests costs each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: they wait while others of `make test` compute, and no worker is left with
    one in the end, when the others have nothing to do.

    Tests on a real engine last: it lives, and holds its event loop, until the session ends.
    """
    items.sort(
        key=lambda item: (
            item.get_closest_marker("engine") is not None,
            item.get_closest_marker("slow") is None,
        )
    )


@pytest.fixture(autouse=True, scope="module")
def _small_heap() -> None:
    """What is there already stays: no garbage collection need look at it again.

    Tests that collect garbage wait for a whole heap otherwise, of all that was imported before.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _quiet_logs() -> Iterator[None]:
    """Configured once, so that no runtime ties structlog to one test's captured stderr."""
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    yield
    structlog.reset_defaults()
