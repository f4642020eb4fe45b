from itertools import pairwise
from math import inf

import anyio
import pytest

from frontrunner.runtime.common.http_endpoints import TryAgain, with_retries


class Overloaded(TryAgain):
    """The endpoint asks for ``after`` seconds."""

    def __init__(self, after: float = 0.0) -> None:
        super().__init__(f"in {after:g} s")
        self.after = after


class Endpoint:
    """Refuses as often as it has refusals, then answers."""

    def __init__(self, *refusals: Exception) -> None:
        self._refusals = list(refusals)
        self.asked: list[float] = []

    async def __call__(self) -> str:
        self.asked.append(anyio.current_time())
        if self._refusals:
            raise self._refusals.pop(0)
        return "answer"


async def test_it_is_asked_again_and_the_pauses_grow() -> None:
    endpoint = Endpoint(*(Overloaded() for _ in range(9)))
    assert await with_retries(endpoint, retries=9) == "answer"
    asked = endpoint.asked
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    for number, pause in enumerate(pauses):
        longest = min(5.0, 0.1 * 2**number)
        assert longest / 2 <= pause <= longest + 1e-9


async def test_the_wait_is_at_least_what_the_endpoint_asks_for() -> None:
    endpoint = Endpoint(Overloaded(3.0))
    await with_retries(endpoint, retries=1)
    assert endpoint.asked[1] - endpoint.asked[0] == pytest.approx(3.0)


async def test_no_more_often_than_allowed() -> None:
    endpoint = Endpoint(Overloaded(1.0), Overloaded(2.0), Overloaded(3.0))
    with pytest.raises(Overloaded, match="in 3 s"):
        await with_retries(endpoint, retries=2)
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize(
    ("after", "until", "longest_wait"),
    [
        pytest.param(6.0, inf, 5.0, id="longer than it may be"),
        pytest.param(inf, inf, inf, id="never"),
        pytest.param(4.0, 3.0, inf, id="beyond the time given"),
        pytest.param(4.0, inf, inf, id="beyond the caller's deadline"),
    ],
)
async def test_a_wait_in_vain_is_not_begun(after: float, until: float, longest_wait: float) -> None:
    endpoint, began = Endpoint(Overloaded(after)), anyio.current_time()
    with anyio.move_on_after(3.5 if until == longest_wait == inf else inf):
        with pytest.raises(Overloaded):
            await with_retries(endpoint, retries=1, until=began + until, longest_wait=longest_wait)
        assert anyio.current_time() == began
    assert len(endpoint.asked) == 1


async def test_other_errors_are_raised_at_once() -> None:
    endpoint = Endpoint(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await with_retries(endpoint, retries=3)
    assert len(endpoint.asked) == 1
