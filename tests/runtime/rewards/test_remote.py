"""A scoring endpoint, against a real server on real sockets."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from frontrunner.runtime.config import RemoteRewards
from frontrunner.runtime.errors import EngineClosed, EngineStartError
from frontrunner.runtime.rewards import Scoring, remote
from frontrunner.runtime.rewards.remote import RemoteReward

from ...backends import until

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio", "uvloop"], indirect=True)

ASKED = [{"role": "user", "content": "2 + 2?"}]


class Endpoint:
    """A server whose answers a test scripts, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.at_once = self.most_at_once = 0
        self.answer: Callable[[dict[str, Any]], Any] = lambda body: {}
        self.refusals: list[web.Response] = []  # given before any answer
        self.delay = 0.0
        self._server = TestServer(self._application())

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            body = await request.json()
            self.asked.append(body)
            self.headers.append(request.headers)
            await anyio.sleep(self.delay)
            if self.refusals:
                return self.refusals.pop(0)
            return web.json_response(self.answer(body))
        finally:
            self.at_once -= 1

    async def start(self) -> None:
        await self._server.start_server()

    async def stop(self) -> None:
        await self._server.close()

    def url(self, path: str) -> str:
        return str(self._server.make_url(f"/{path}"))


@pytest.fixture
async def endpoint() -> AsyncGenerator[Endpoint, None]:
    server = Endpoint()
    await server.start()
    yield server
    await server.stop()


async def scored(
    endpoint: Endpoint, path: str, *items: Scoring, **settings: Any
) -> list[float | None]:
    reward = RemoteReward(RemoteRewards(url=endpoint.url(path), **settings))
    await reward.start()
    try:
        return list(await reward.score(items))
    finally:
        await reward.aclose()


def items(*texts: str, complete: bool = True) -> list[Scoring]:
    return [Scoring(ASKED, text, complete) for text in texts]


def text_of(body: dict[str, Any]) -> str:
    return body["messages"][-1]["content"]


async def test_classify_asks_for_one_conversation_each(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: {
        "data": [{"index": 0, "probs": [1 - float(text_of(body)), float(text_of(body))]}]
    }
    asked = [*items("0.25", "0.5"), *items("0.75", complete=False)]
    assert await scored(endpoint, "classify", *asked, model="judge") == [0.25, 0.5, 0.75]
    bodies = {text_of(body): body for body in endpoint.asked}
    assert bodies["0.25"] == {
        "model": "judge",
        "messages": [*ASKED, {"role": "assistant", "content": "0.25"}],
        "add_generation_prompt": False,
        "continue_final_message": False,
        "use_activation": True,
    }
    assert bodies["0.75"]["continue_final_message"] is True


async def test_a_template_lets_classify_take_texts_in_batches(endpoint: Endpoint) -> None:
    def answer(body: dict[str, Any]) -> Any:
        rows = [
            {"index": i, "probs": [float(text.split()[-1])]} for i, text in enumerate(body["input"])
        ]
        return {"data": rows[::-1]}

    endpoint.answer = answer
    settings = {"template": "{question} {text}", "batch": 2, "activation": False}
    scores = await scored(endpoint, "classify", *items("1", "2", "3"), **settings)
    assert scores == [1.0, 2.0, 3.0]
    assert sorted(len(body["input"]) for body in endpoint.asked) == [1, 2]
    texts = [text for body in endpoint.asked for text in body["input"]]
    assert sorted(texts) == ["2 + 2? 1", "2 + 2? 2", "2 + 2? 3"]
    assert all(body["use_activation"] is False for body in endpoint.asked)


async def test_pooling_gives_the_steps_of_a_process_model(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: {"data": [{"index": 0, "data": [[0.1, 0.9], [0.5, 0.5]]}]}
    settings: dict[str, Any] = {"task": "prm", "aggregation": "prod", "step_marker": "<s>"}
    scores = await scored(endpoint, "pooling", *items("a\n\nb"), **settings)
    assert scores == [pytest.approx(0.45)]
    assert text_of(endpoint.asked[0]) == "a<s>b<s>"
    assert endpoint.asked[0]["task"] == "token_classify"


async def test_pooling_gives_the_last_row_of_an_outcome_model(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: {"data": [{"index": 0, "data": [[0.1], [0.7]]}]}
    assert await scored(endpoint, "pooling", *items("a")) == [0.7]
    endpoint.answer = lambda body: {"data": [{"index": 0, "data": []}]}
    assert await scored(endpoint, "pooling", *items("a")) == [None]


async def test_score_asks_for_pairs(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: {
        "data": [{"index": i, "score": float(text)} for i, text in enumerate(body["text_2"])]
    }
    assert await scored(endpoint, "score", *items("0.1", "0.2")) == [0.1, 0.2]
    assert endpoint.asked[0]["text_1"] == ["2 + 2?", "2 + 2?"]


async def test_json_is_for_servers_of_ones_own(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: {"scores": [len(i["text"]) for i in body["items"][:-1]] + [None]}
    assert await scored(endpoint, "mine", *items("a", "bb", "ccc")) == [1.0, 2.0, None]
    assert endpoint.asked[0]["items"][0] == {"question": ASKED, "text": "a", "complete": True}


@pytest.mark.parametrize(
    "answer",
    [
        {"scores": [1.0]},
        {"scores": [1.0, "x"]},
        {"scores": None},
        {},
        [],
        "text",
        {"scores": [1.0, 2.0, 3.0]},
    ],
)
async def test_an_answer_that_makes_no_sense_costs_its_scores(
    endpoint: Endpoint, answer: Any
) -> None:
    endpoint.answer = lambda body: answer
    assert await scored(endpoint, "mine", *items("a", "b")) == [None, None]


async def test_what_is_no_number_is_no_score(endpoint: Endpoint) -> None:
    endpoint.refusals = [web.Response(text='{"scores": [NaN, 0.5]}')]
    assert await scored(endpoint, "mine", *items("a", "b")) == [None, 0.5]


async def test_a_refused_batch_costs_that_batch_only(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: {"scores": [1.0]}
    endpoint.refusals = [web.Response(status=400, text="too long")]
    scores = await scored(endpoint, "mine", *items("a", "b", "c"), batch=1)
    assert sorted(scores, key=str) == [1.0, 1.0, None]
    assert len(endpoint.asked) == 3


async def test_an_overloaded_endpoint_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: {"scores": [1.0]}
    endpoint.refusals = [web.Response(status=503), web.Response(status=429)]
    assert await scored(endpoint, "mine", *items("a")) == [1.0]
    assert len(endpoint.asked) == 3


async def test_no_more_often_than_it_may(endpoint: Endpoint) -> None:
    endpoint.refusals = [web.Response(status=503) for _ in range(9)]
    assert await scored(endpoint, "mine", *items("a"), retries=1) == [None]
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize("after", ["60", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_it_is_not_asked_again_after_the_time_is_up(endpoint: Endpoint, after: str) -> None:
    endpoint.refusals = [web.Response(status=429, headers={"Retry-After": after}) for _ in range(9)]
    with anyio.fail_after(30):
        assert await scored(endpoint, "mine", *items("a")) == [None]
    assert len(endpoint.asked) == 1


async def test_the_callers_own_deadline_ends_the_retries_too(endpoint: Endpoint) -> None:
    endpoint.refusals = [web.Response(status=429, headers={"Retry-After": "50"}) for _ in range(9)]
    with anyio.move_on_after(40) as deadline:
        assert await scored(endpoint, "mine", *items("a"), timeout=60.0) == [None]
    assert not deadline.cancelled_caught  # it gave up at once, and did not wait for it
    assert len(endpoint.asked) == 1


async def test_an_endpoint_that_does_not_answer_in_time_costs_the_scores(
    endpoint: Endpoint,
) -> None:
    endpoint.delay = 60.0
    with anyio.fail_after(30):
        assert await scored(endpoint, "mine", *items("a"), timeout=0.05) == [None]


async def test_a_race_that_is_over_closes_its_connections(endpoint: Endpoint) -> None:
    endpoint.delay = 60.0
    with anyio.move_on_after(0.1):
        await scored(endpoint, "mine", *items("a", "b"), batch=1)
    await until(lambda: not endpoint.at_once)


async def test_no_more_connections_are_used_than_allowed(endpoint: Endpoint) -> None:
    endpoint.answer = lambda body: {"scores": [1.0]}
    endpoint.delay = 0.01
    texts = [str(n) for n in range(12)]
    scores = await scored(endpoint, "mine", *items(*texts), batch=1, connections=3)
    assert scores == [1.0] * 12
    assert endpoint.most_at_once == 3


async def test_nobody_there_costs_the_scores(endpoint: Endpoint) -> None:
    url = endpoint.url("mine")
    await endpoint.stop()
    reward = RemoteReward(RemoteRewards(url=url, retries=0))
    await reward.start()
    assert await reward.score(items("a")) == [None]
    await reward.aclose()


async def test_the_key_comes_from_the_environment(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.answer = lambda body: {"scores": [1.0]}
    monkeypatch.setenv("JUDGE_KEY", "secret")
    assert await scored(endpoint, "mine", *items("a"), key_env="JUDGE_KEY") == [1.0]
    assert endpoint.headers[0]["Authorization"] == "Bearer secret"
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(EngineStartError, match="JUDGE_KEY"):
        await scored(endpoint, "mine", *items("a"), key_env="JUDGE_KEY")


async def test_it_must_be_started_and_may_be_closed_twice(endpoint: Endpoint) -> None:
    reward = RemoteReward(RemoteRewards(url=endpoint.url("mine")))
    with pytest.raises(EngineClosed):
        await reward.score(items("a"))
    await reward.start()
    await reward.aclose()
    await reward.aclose()
    with pytest.raises(EngineClosed):
        await reward.score(items("a"))


async def test_a_body_without_end_costs_the_score_and_is_not_kept() -> None:
    written = [0]

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=int(request.match_info["status"]))
        await response.prepare(request)
        piece = b" " * 2**16
        try:
            while True:
                await response.write(piece)
                written[0] += len(piece)
        except ConnectionError:
            return response

    application = web.Application()
    application.router.add_post("/{status}/score", flood)
    async with TestServer(application) as server:
        for status in (200, 400):
            written[0] = 0
            url = str(server.make_url(f"/{status}/score"))
            reward = RemoteReward(RemoteRewards(url=url, retries=0))
            await reward.start()
            try:
                with anyio.fail_after(60):
                    assert await reward.score(items("4")) == [None]
            finally:
                await reward.aclose()
            # What was read, and what lay in the sockets between the two.
            assert written[0] < 4 * remote._MAX_ANSWER
