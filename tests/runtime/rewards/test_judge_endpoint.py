"""A judge behind an OpenAI-compatible endpoint, against a real server on real sockets."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from math import inf, log
from typing import Any

import anyio
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from frontrunner.runtime.config import JudgeRewards
from frontrunner.runtime.engines.scripted import Script, ScriptedEngine
from frontrunner.runtime.errors import EngineStartError
from frontrunner.runtime.rewards import Scoring
from frontrunner.runtime.rewards.judge import EndpointJudge
from frontrunner.runtime.rewards.protocol import ScoringBudget

from ...backends import until

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio", "uvloop"], indirect=True)

ASKED = [{"role": "user", "content": "Where is the tower?"}]
REPLIES = ("In Lyon.", "In Paris.", "In Rome.")
#: A body to what is answered.
Answer = Callable[[dict[str, Any]], web.StreamResponse]


@contextmanager
def every_level() -> Iterator[None]:
    """The log has all that is logged."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET))
    try:
        yield
    finally:
        structlog.configure(wrapper_class=before)


def letter_of(body: dict[str, Any], word: str) -> str:
    """The letter of the reply that says ``word``."""
    before, _, _ = body["messages"][0]["content"].partition(word)
    return before.rpartition("Reply ")[2][0]


def says(text: str, **more: Any) -> web.Response:
    usage = {"prompt_tokens": 50, "completion_tokens": 2}
    choice = {"message": {"role": "assistant", "content": text}, **more}
    return web.json_response({"choices": [choice], "usage": usage})


class Endpoint:
    """Answers chat completions with ``answer``."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.open = 0
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        self.server = TestServer(app)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(request.headers)
        self.open += 1
        try:
            answer = self.answer(body)
            if isinstance(answer, web.Response):
                return answer
            await anyio.sleep(60.0)
            return answer
        finally:
            self.open -= 1

    @property
    def url(self) -> str:
        return str(self.server.make_url("/v1"))


@pytest.fixture
async def endpoint() -> AsyncGenerator[Endpoint, None]:
    endpoint = Endpoint(lambda body: says(f"Reply {letter_of(body, 'Paris')}."))
    async with endpoint.server:
        yield endpoint


def judge(endpoint: Endpoint, **settings: Any) -> EndpointJudge:
    engine = ScriptedEngine(Script([]))
    return EndpointJudge(JudgeRewards(url=endpoint.url, model="wise", **settings), engine)


async def scores(
    endpoint: Endpoint, *texts: str, budget: ScoringBudget | None = None, **settings: Any
) -> list[float | None]:
    made = judge(endpoint, **settings)
    await made.start()
    try:
        budget = budget or ScoringBudget(inf)
        return [*await made.score([Scoring(ASKED, t, True, budget) for t in texts or REPLIES])]
    finally:
        await made.aclose()


async def test_the_letters_that_it_says_are_counted(endpoint: Endpoint) -> None:
    budget = ScoringBudget(inf)
    assert await scores(endpoint, budget=budget) == [0.0, 1.0, 0.0]
    assert len(endpoint.bodies) == 3
    for body in endpoint.bodies:
        assert body["model"] == "wise"
        assert body["max_tokens"] == 8
        assert body["temperature"] == 0.0
        assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
        content = body["messages"][0]["content"]
        assert content.index("Where is the tower?") < content.index("Reply A:")
    assert len({body["messages"][0]["content"] for body in endpoint.bodies}) == 3
    assert budget.requests == 3
    assert budget.tokens == 3 * 52


async def test_probabilities_count_where_it_tells_them(endpoint: Endpoint) -> None:
    def answer(body: dict[str, Any]) -> web.Response:
        letter = letter_of(body, "Paris")
        other = next(x for x in "ABC" if x != letter)
        top = [
            {"token": f" {letter}", "logprob": log(0.6)},
            {"token": other, "logprob": log(0.2)},
        ]
        tokens = [
            {"token": "Reply", "logprob": -0.1, "top_logprobs": [{"token": "A", "logprob": -3.0}]},
            {"token": f" {letter}", "logprob": log(0.6), "top_logprobs": top},
        ]
        return says(f"Reply {letter}", logprobs={"content": tokens})

    endpoint.answer = answer
    found = await scores(endpoint)
    assert found[1] == pytest.approx(0.75)
    assert sum(score or 0.0 for score in found) == pytest.approx(1.0)


async def test_one_that_refuses_to_tell_them_is_asked_without(endpoint: Endpoint) -> None:
    def answer(body: dict[str, Any]) -> web.Response:
        if "logprobs" in body:
            return web.json_response({"error": {"message": "no logprobs"}}, status=400)
        return says(letter_of(body, "Paris"))

    endpoint.answer = answer
    made = judge(endpoint)
    await made.start()
    items = [Scoring(ASKED, text, True) for text in REPLIES]
    assert await made.score(items) == [0.0, 1.0, 0.0]
    endpoint.bodies.clear()
    assert await made.score(items) == [0.0, 1.0, 0.0]
    assert all("logprobs" not in body for body in endpoint.bodies)
    await made.aclose()


async def test_further_fields_are_sent_and_take_precedence(endpoint: Endpoint) -> None:
    body = {"temperature": 0.5, "chat_template_kwargs": {"enable_thinking": False}}
    await scores(endpoint, body=body)
    assert all(body.items() <= sent.items() for sent in endpoint.bodies)


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: web.Response(status=500, text="broken"),
        lambda body: web.Response(status=401, text="who are you"),
        lambda body: web.Response(text="not json"),
        lambda body: web.json_response([]),
        lambda body: web.json_response({"choices": []}),
        lambda body: web.json_response({"choices": [{"message": None}]}),
        lambda body: web.json_response({"choices": [{"message": {"content": 7}}]}),
        lambda body: web.json_response({"choices": [{"message": {"content": None}}], "usage": 3}),
        lambda body: says("A", logprobs={"content": 5}),
        lambda body: says("A", logprobs={"content": [{"token": "A", "top_logprobs": [7]}]}),
        lambda body: says("I do not know"),
        lambda body: says("A"),
        lambda body: web.Response(body=b" " * (17 * 2**20)),
    ],
    ids=[
        "broken",
        "refused",
        "no JSON",
        "a list",
        "no choice",
        "no message",
        "a number",
        "nothing said",
        "odd probabilities",
        "odder ones",
        "no letter",
        "the place alone",
        "too long",
    ],
)
async def test_what_is_no_pick_costs_the_judgement_and_nothing_else(
    endpoint: Endpoint, answer: Answer
) -> None:
    endpoint.answer = answer
    assert await scores(endpoint) == [None, None, None]


async def test_an_overloaded_one_is_asked_again(endpoint: Endpoint) -> None:
    refused = 0

    def answer(body: dict[str, Any]) -> web.Response:
        nonlocal refused
        if refused < 2:
            refused += 1
            return web.Response(status=503, headers={"Retry-After": "0"})
        return says(letter_of(body, "Paris"))

    endpoint.answer = answer
    assert await scores(endpoint) == [0.0, 1.0, 0.0]


async def test_nobody_there_costs_the_judgement() -> None:
    endpoint = Endpoint(lambda body: says("A"))
    await endpoint.server.start_server()
    url = endpoint.url
    await endpoint.server.close()
    engine = ScriptedEngine(Script([]))
    made = EndpointJudge(JudgeRewards(url=url, model="m", timeout=2.0), engine)
    await made.start()
    assert await made.score([Scoring(ASKED, t, True) for t in REPLIES]) == [None] * 3
    await made.aclose()
    assert await made.score([Scoring(ASKED, t, True) for t in REPLIES]) == [None] * 3


async def test_a_slow_one_is_left_in_time_and_so_is_one_that_nobody_waits_for(
    endpoint: Endpoint,
) -> None:
    endpoint.answer = lambda body: web.StreamResponse()
    assert await scores(endpoint, timeout=0.2) == [None, None, None]
    await until(lambda: endpoint.open == 0)
    budget = ScoringBudget(anyio.current_time() + 0.2)
    assert await scores(endpoint, budget=budget) == [None, None, None]
    assert anyio.current_time() < budget.until + 50.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scores, endpoint)
        await until(lambda: endpoint.open == 3)
        tasks.cancel_scope.cancel()
    await until(lambda: endpoint.open == 0)


async def test_its_key_is_sent_and_is_in_no_message(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineStartError, match=r"rewards\.key_env"):
        await scores(endpoint, key_env="JUDGE_KEY")
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    assert await scores(endpoint, key_env="JUDGE_KEY") == [0.0, 1.0, 0.0]
    assert endpoint.headers[0]["Authorization"] == "Bearer sk-secret"
    endpoint.answer = lambda body: web.Response(status=401, text="sk-secret is no key")
    with every_level(), capture_logs() as logs:
        await scores(endpoint, key_env="JUDGE_KEY")
    assert "no key" in str(logs)
    assert "sk-secret" not in str(logs)
