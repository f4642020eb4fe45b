"""The remote engine on an endpoint of every kind: what it asks, and what it takes for granted."""

from contextlib import aclosing
from typing import Any

import anyio
import pytest
import structlog
from aiohttp import web

from frontrunner.runtime.config import OpenAISettings
from frontrunner.runtime.engines.logprobs import ScoredChunk, SupportsLogprobs
from frontrunner.runtime.engines.next_tokens import SupportsNextTokens
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.engines.protocol import (
    Chunk,
    FinishReason,
    Generation,
    Sampling,
    TokenTimes,
)
from frontrunner.runtime.errors import BadRequest, EngineError, EngineStartError

from ...backends import until
from .conformance import Sink
from .fake_endpoint import MODEL, FakeEndpoint, endpoint, engine_on, words

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio", "uvloop"], indirect=True)

ASKED = [{"role": "user", "content": "Two and two?"}]


async def read(
    engine: OpenAIEngine, prompt: tuple[int, ...], max_tokens: int = 4, **more: Any
) -> list[Chunk]:
    sampling = more.pop("sampling", Sampling())
    name = more.pop("request_id", "r")
    request = Generation(name, prompt, max_tokens, sampling, **more)
    async with aclosing(engine.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


# ── what is found out ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("priority", [True, False])
@pytest.mark.parametrize("logprobs", [True, False])
async def test_a_vllm_server_is_asked_with_all_that_it_takes(
    priority: bool, logprobs: bool
) -> None:
    async with endpoint(priority=priority, logprobs=logprobs) as fake, engine_on(fake) as engine:
        assert engine.info.model == MODEL
        assert engine.info.max_context_tokens == fake.context
        assert engine.info.logprobs is logprobs
        assert engine.info.seeded
        assert engine.load().step_seconds is not None
        assert engine.load().token_seconds is not None
        assert engine.load().token_batch >= 1.0
        prompt = engine.encode_chat(ASKED)
        sampling = Sampling(0.5, 0.9, 0, ("!",), logprobs=3 if logprobs else 0)
        chunks = await read(engine, prompt, sampling=sampling, seed=5, priority=-7)
        _, body = fake.asked[-1]
        expected = {
            "model": MODEL,
            "prompt": [2, *words("Two and two?"), 3],
            "max_tokens": 4,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop": ["!"],
            "include_stop_str_in_output": True,
            "seed": 5,
            "stream": True,
            "return_token_ids": True,
        }
        expected |= {"priority": -7} if priority else {}
        expected |= {"logprobs": 3} if logprobs else {}
        assert body == expected
        ids = [i for chunk in chunks for i in chunk.token_ids]
        assert ids == [40_000 + n for n in range(5, 9)]
        confidences = [c for chunk in chunks for c in chunk.confidences]
        assert confidences == ([1.0] * 4 if logprobs else [])


@pytest.mark.parametrize("vllm", [True, False])
async def test_pieces_that_nobody_waits_for_are_asked_for_several_at_once(
    vllm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenTimes, "seconds", 0.001)
    async with endpoint(vllm=vllm) as fake, engine_on(fake) as engine:
        prompt, now = engine.encode_chat(ASKED), anyio.current_time()

        async def asked(*, immediate: bool = False, **more: Any) -> int | None:
            request = Generation("r", prompt, 4, Sampling(), **more)
            await engine.feed(request, Sink(immediate=immediate))
            return fake.asked[-1][1].get("stream_interval")

        if not vllm:
            assert await asked() is None
            return
        assert await asked() == 50  # what comes in a twentieth of a second
        assert await asked(immediate=True) is None  # a reader waits for each
        assert await asked(forced=True) is None  # what has come of it when the time is up counts
        assert await asked(deadline=now - 1.0) is None  # none of its time may be waited away
        few = await asked(deadline=anyio.current_time() + 1.0)  # a hundredth of its time at most
        assert few is None or few <= 10


@pytest.mark.parametrize("strict", [True, False])
async def test_other_servers_get_nothing_but_openais_parameters(strict: bool) -> None:
    async with endpoint(vllm=False, strict=strict) as fake, engine_on(fake) as engine:
        prompt = engine.encode_chat(ASKED, [{"type": "function"}])
        sampling = Sampling(stop=("!",))
        first = await read(engine, prompt, sampling=sampling, priority=3)
        _, body = fake.asked[-1]
        body_of_ours = {
            "model": MODEL,
            "messages": ASKED,
            "tools": [{"type": "function"}],
            "max_tokens": 4,
            "temperature": 1.0,
            "top_p": 1.0,
            "stop": ["!"],
            "stream": True,
        }
        assert body == body_of_ours
        assert text(first) == "w3 w4 w5 w6 "
        assert sum(len(chunk.token_ids) for chunk in first) == 4
        generated = tuple(i for chunk in first for i in chunk.token_ids)
        await read(engine, (*prompt, *generated, *engine.encode(" So \\boxed{")))
        assert fake.asked[-1][1]["messages"] == [
            *ASKED,
            {"role": "assistant", "content": "w3 w4 w5 w6  So \\boxed{"},
        ]


async def test_a_raw_prompt_goes_to_completions_as_text() -> None:
    async with endpoint(vllm=False) as fake, engine_on(fake) as engine:
        assert text(await read(engine, engine.encode("one two"))) == "w2 w3 w4 w5 "
        assert fake.asked[-1][0] == "/v1/completions"
        assert fake.asked[-1][1]["prompt"] == "one two"


async def test_a_chat_endpoint_refuses_raw_prompts_and_tokens() -> None:
    async with endpoint(vllm=False, completions=False) as fake, engine_on(fake) as engine:
        for prompt in (engine.encode("one two"), (5, 6, 7)):
            with pytest.raises(EngineError, match=r"takes (chats only|text)"):
                await read(engine, prompt)
        assert fake.running == 0


async def test_the_suffix_is_known_before_it_is_needed() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        prompt, suffix = engine.encode_chat(ASKED), engine.encode("Time is up")
        chunks = await read(engine, prompt)
        asked = len(fake.bodies("/tokenize"))
        generated = tuple(i for chunk in chunks for i in chunk.token_ids)
        await read(engine, (*prompt, *generated, *suffix))
        assert len(fake.bodies("/tokenize")) == asked
        assert fake.asked[-1][1]["prompt"] == [
            *(2, *words("Two and two?"), 3),
            *generated,
            *words("Time is up"),
        ]


async def test_branches_that_begin_together_ask_for_their_prompt_once() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        before = len(fake.bodies("/tokenize"))
        prompt = engine.encode_chat(ASKED)
        async with anyio.create_task_group() as tasks:
            for n in range(8):
                tasks.start_soon(lambda n=n: read(engine, prompt, request_id=f"r{n}"))
        assert len(fake.bodies("/tokenize")) == before + 1


async def test_the_room_is_that_of_the_exact_prompt() -> None:
    async with endpoint(context=30) as fake, engine_on(fake) as engine:
        await read(engine, engine.encode_chat(ASKED), 500)
        assert fake.asked[-1][1]["max_tokens"] == 30 - 5
        with pytest.raises(EngineError, match="context"):
            await read(engine, engine.encode("w " * 30))


async def test_messages_that_the_template_refuses_cost_the_request() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        prompt = engine.encode_chat([{"role": "user", "content": "unspeakable"}])
        with pytest.raises(EngineError, match="no such role"):
            await read(engine, prompt)
        with pytest.raises(BadRequest):
            engine.encode_chat([{"role": "user", "content": object()}])  # pyright: ignore


async def test_the_next_tokens_are_told() -> None:
    for vllm in (True, False):
        async with endpoint(vllm=vllm) as fake, engine_on(fake) as engine:
            assert isinstance(engine, SupportsNextTokens)
            prompt = engine.encode_chat(ASKED)
            top = await engine.next_tokens(prompt, 3, request_id="v")
            assert top == [("t0", 0.0), ("t1", -1.0), ("t2", -2.0)]


async def score(engine: OpenAIEngine, prompt: tuple[int, ...], most: int) -> ScoredChunk:
    request = Generation("s", prompt, most, Sampling(0.0, logprobs=1))
    async with aclosing(engine.scored(request, prompt=True)) as chunks:
        (told,) = [chunk async for chunk in chunks]
    return told


async def test_log_probabilities_of_a_prompt_are_told() -> None:
    for vllm in (True, False):
        async with endpoint(vllm=vllm) as fake, engine_on(fake) as engine:
            assert isinstance(engine, SupportsLogprobs)
            for most in (0, 2):
                told = await score(engine, engine.encode("six times seven"), most)
                body = fake.bodies("/v1/completions")[-1]
                assert (body["echo"], body["stream"], body["logprobs"]) == (True, False, 1)
                assert body["max_tokens"] == max(1, most)
                words = body["prompt"] if vllm else ["six", "times", "seven"]
                assert [token.text for token in told.prompt] == [f"{word} " for word in words]
                assert [token.logprob for token in told.prompt] == [None, -2.0, -3.0]
                assert told.prompt[1].top == {told.prompt[1].text: -2.0}
                assert told.text == "w3 w4 " * (most > 0)
                assert [token.text for token in told.tokens] == ["w3 ", "w4 "][:most]
                assert told.finish is FinishReason.LENGTH
            assert engine.load().running == 0


async def test_an_endpoint_that_does_not_repeat_is_named() -> None:
    async with endpoint(echo=False) as fake, engine_on(fake) as engine:
        with pytest.raises(BadRequest, match="echo") as caught:
            await score(engine, engine.encode("six times seven"), 1)
        assert caught.value.param == "echo"
        assert engine.load().running == 0


async def test_a_scored_request_is_aborted() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        fake.delay = 60.0
        told: list[ScoredChunk] = []

        async def ask() -> None:
            told.append(await score(engine, engine.encode("six times seven"), 1))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(lambda: engine.load().running == 1)
            await engine.abort(["s"])
        assert [chunk.finish for chunk in told] == [FinishReason.ABORT]
        assert engine.load().running == 0


# ── what stops a start ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("abilities", "settings", "told"),
    [
        ({"key": "secret"}, {}, "engine.key_env"),
        ({"context": None, "vllm": False}, {}, "engine.max_context_tokens"),
        ({"chat": False, "completions": False, "vllm": False}, {}, "404"),
        ({"chat": False, "vllm": False}, {}, "engine.tokenizer"),
        ({}, {"key_env": "FRONTRUNNER_NO_SUCH_KEY"}, "engine.key_env"),
        ({}, {"tokenizer": "/no/such/folder"}, "engine.tokenizer"),
    ],
)
async def test_a_start_that_fails_says_which_setting(
    abilities: dict[str, Any], settings: dict[str, Any], told: str
) -> None:
    async with endpoint(**abilities) as fake:
        with pytest.raises(EngineStartError, match=told):
            async with engine_on(fake, **settings):
                pass
        assert fake.running == 0


async def test_nobody_there_is_told_at_the_start() -> None:
    engine = OpenAIEngine(OpenAISettings(url="http://127.0.0.1:9"))
    with pytest.raises(EngineStartError, match="is it running"):
        await engine.start()
    await engine.aclose()


async def test_a_key_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "sk-very-secret")
    with structlog.testing.capture_logs() as logs:
        async with endpoint(key="sk-very-secret") as fake, engine_on(fake, key_env="THE_KEY") as e:
            assert text(await read(e, e.encode_chat(ASKED)))
            fake.key = "another"
            with pytest.raises(EngineError, match="not you: Bearer …") as caught:
                await read(e, e.encode_chat(ASKED))
    assert "very-secret" not in str(caught.value) + str(logs)


# ── limits, retries, outages ──────────────────────────────────────────────────────────────────


async def test_more_requests_than_connections_wait_where_they_can_be_seen() -> None:
    async with endpoint() as fake, engine_on(fake, max_branches=3) as engine:
        prompt = engine.encode_chat(ASKED)
        async with anyio.create_task_group() as tasks:
            for n in range(5):
                tasks.start_soon(lambda n=n: read(engine, prompt, 2_000, request_id=f"r{n}"))
            await until(lambda: fake.running == 3 and engine.load().waiting == 2)
            await engine.abort(["r4"])
            await until(lambda: engine.load().waiting == 1)
            await engine.abort(["r0"])
            await until(lambda: engine.load().waiting == 0)
            assert engine.load().running == 3
            await engine.abort([f"r{n}" for n in range(5)])
        assert fake.most_running == 3
        await until(lambda: fake.running == 0)
        assert engine.load().running == 0


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        peers: set[Any] = set()

        async def note(request: web.Request, response: Any) -> None:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))

        fake.fault = lambda body, number: note
        for _ in range(5):
            await read(engine, engine.encode_chat(ASKED))
        assert len(peers) == 1
        assert fake.closed_early <= 1  # a question of the start needs no last word


@pytest.mark.parametrize("status", [429, 503])
async def test_an_overloaded_endpoint_is_asked_twice_more(status: int) -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        refusals = 2
        prompt = engine.encode_chat(ASKED)

        async def refuse(request: web.Request, response: Any) -> web.Response | None:
            nonlocal refusals
            refusals -= 1
            busy = web.Response(status=status, headers={"Retry-After": "0"}, text="busy")
            return busy if refusals >= 0 else None

        fake.fault = lambda body, number: refuse
        assert text(await read(engine, prompt))
        refusals = 3
        with pytest.raises(EngineError, match=f"{status}: busy"):
            await read(engine, prompt)
        assert engine.failure is None


async def test_a_wait_that_is_too_long_is_not_begun() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        prompt = engine.encode_chat(ASKED)
        await read(engine, prompt)
        asked = len(fake.asked)

        async def refuse(request: web.Request, response: Any) -> web.Response:
            return web.Response(status=503, headers={"Retry-After": "3600"})

        fake.fault = lambda body, number: refuse
        with pytest.raises(EngineError, match="503"):
            await read(engine, prompt)
        assert len(fake.asked) == asked + 1


async def test_a_stream_that_has_begun_is_never_asked_for_again() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        prompt = engine.encode_chat(ASKED)
        await read(engine, prompt)
        asked = len(fake.asked)

        async def cut(request: web.Request, response: Any) -> Any:
            if response is not None and request.transport is not None:
                request.transport.abort()
            return response

        fake.fault = lambda body, number: cut
        with pytest.raises(EngineError, match=r"broke off|ended before"):
            await read(engine, prompt)
        assert len(fake.asked) == asked + 1


async def test_an_endpoint_that_is_gone_is_a_failure_and_its_return_is_none() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        prompt = engine.encode_chat(ASKED)
        await read(engine, prompt)
        assert engine._client is not None
        breaker = engine._client.breaker
        port = fake.port
        await fake.stop()
        assert engine.failure is None
        with pytest.raises(EngineError, match="not reached"):
            await read(engine, prompt)
        assert isinstance(engine.failure, EngineError)  # with its retries it was three
        await until(lambda: breaker.trial_due)  # it may be tried again
        with pytest.raises(EngineError, match="not reached"):
            await read(engine, prompt)
        assert engine.failure is not None
        back = FakeEndpoint()
        await back.start(port)
        try:
            await until(lambda: breaker.trial_due)
            assert engine.failure is not None  # that some time has passed proves nothing
            assert text(await read(engine, prompt))
            assert engine.failure is None
        finally:
            await back.stop()
