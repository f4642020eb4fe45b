"""A remote model that thinks: how its prompts end, what its endpoint is asked, and the marks that
an endpoint's parser has taken out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from tests.backends import STEADY_ASYNCIO

from frontrunner.runtime.config import (
    OpenAISettings,
    PromptSettings,
    Settings,
    ThinkingSettings,
)
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.engines.openai.wire import ReasoningMarks, read_event
from frontrunner.runtime.engines.protocol import Generation, Sampling
from frontrunner.runtime.errors import EngineStartError
from frontrunner.runtime.prompts.thinking_model import ThinkingModel
from frontrunner.runtime.runtime import Runtime

from . import fake_endpoint
from .fake_endpoint import FakeEndpoint, endpoint

ASKED: Any = [{"role": "user", "content": "What is 3 + 5?"}]
TAGS: dict[str, Any] = {"start": "<think>", "end": "</think>"}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return STEADY_ASYNCIO


def detokenizing(fake: FakeEndpoint, end: str) -> None:
    """Let an endpoint say that its prompts end so."""

    async def detokenize(request: web.Request) -> web.Response:
        return web.json_response({"prompt": f"…{end}"})

    fake._server.app.router.add_post("/detokenize", detokenize)  # pyright: ignore[reportPrivateUsage]


@asynccontextmanager
async def engine_on(
    fake: FakeEndpoint, thinking: dict[str, Any], **prompt: Any
) -> AsyncGenerator[OpenAIEngine]:
    engine = OpenAIEngine(
        OpenAISettings(url=fake.url), PromptSettings(**prompt), ThinkingSettings(**thinking)
    )
    try:
        await engine.start()
        yield engine
    finally:
        await engine.aclose()


@asynccontextmanager
async def saying(end: str | None) -> AsyncGenerator[FakeEndpoint]:
    """An endpoint of vLLM's kind; None: it has no ``/detokenize``."""
    fake = FakeEndpoint()
    if end is not None:
        detokenizing(fake, end)
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()


@pytest.mark.parametrize(
    ("end", "thinking", "position"),
    [
        ("assistant\n", {}, "before"),
        ("assistant\n<think>\n", {}, "inside"),
        ("assistant\n<think>\n\n</think>\n\n", {}, "after"),
        (None, {}, "unknown"),
        (None, {"in_prompt": True}, "inside"),
        (None, {"in_prompt": False}, "before"),
        (None, {"mode": "off"}, "after"),
    ],
)
async def test_where_a_prompt_leaves_the_model(
    end: str | None, thinking: dict[str, Any], position: str
) -> None:
    settings = {**TAGS, **thinking}
    async with saying(end) as fake, engine_on(fake, settings) as engine:
        model = ThinkingModel(ThinkingSettings(**settings), engine)
        form = model.form_after(engine.encode_chat(ASKED))
        assert form is not None
        assert form.position == position
        # Another value of a variable makes another prompt.
        form = model.form_after(engine.encode_chat(ASKED, None, {"enable_thinking": False}))
        assert form is not None
        assert (form.position == position) == (end is None)
        raw = model.form_after(engine.encode_prompt("Once <think>\n"))
        assert raw is not None
        assert raw.position == "inside"


async def test_a_vllm_server_is_asked_for_special_tokens_and_the_budget() -> None:
    async with saying(None) as fake, engine_on(fake, {**TAGS, "token_budget": 7}) as engine:
        sampling = Sampling(special_tokens=True, thinking_tokens=7)
        for forced in (False, True):
            request = Generation("r", engine.encode("a"), 2, sampling, forced=forced)
            async with aclosing(engine.generate(request)) as chunks:
                async for _ in chunks:
                    pass
        own, forced_body = fake.bodies("/v1/completions")[-2:]
    assert own["skip_special_tokens"] is False
    assert own["thinking_token_budget"] == 7
    assert "thinking_token_budget" not in forced_body


async def test_an_endpoint_that_keeps_no_budget_is_refused() -> None:
    async with endpoint(vllm=False) as fake:
        with pytest.raises(EngineStartError, match=r"thinking\.token_budget: only vLLM"):
            async with engine_on(fake, {**TAGS, "token_budget": 7}):
                pass


async def test_a_parser_needs_a_tokenizer() -> None:
    async with saying(None) as fake, engine_on(fake, {"parser": "deepseek_r1"}) as engine:
        model = ThinkingModel(ThinkingSettings(parser="deepseek_r1"), engine)
        with pytest.raises(EngineStartError, match=r"thinking\.parser needs engine\.tokenizer"):
            _ = model.form


def event(**delta: str) -> bytes:
    return orjson.dumps({"choices": [{"delta": delta}]})


def test_marks_that_a_parser_took_out_are_put_back() -> None:
    marks = ReasoningMarks("<think>", "</think>")
    events = [
        event(role="assistant", content=""),
        event(reasoning_content="six "),
        event(reasoning="sevens"),
        event(content="It is"),
        event(content=" 42"),
    ]
    read = [read_event(data, token_ids=False, marks=marks) for data in events]
    text = "".join(delta.text for delta in read if delta is not None)
    assert text == "<think>six sevens</think>It is 42"
    both = event(reasoning_content="a", content="b")
    delta = read_event(both, token_ids=False, marks=ReasoningMarks("<think>", "</think>"))
    assert delta is not None
    assert delta.text == "<think>a</think>b"


async def test_the_name_that_an_endpoint_gives_says_the_family(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fake_endpoint, "MODEL", "Qwen/Qwen3-8B")
    async with saying("assistant\n<think>\n\n</think>\n\n") as fake:
        settings = Settings.from_dict(
            {
                "engine": {"kind": "openai", "url": fake.url},
                "answers": {"workers": 0},
                "thinking": {"mode": "off"},
                "sampling": {"top_k": 5},
            }
        )
        async with Runtime.from_config(settings) as runtime:
            assert runtime.settings.sampling.temperature == 0.6
            assert runtime.settings.sampling.top_k == 5
            assert runtime.settings.thinking.start == "<think>"
            await runtime.solve("3 + 5?", deadline=0.5, branches=1)
            told = fake.bodies("/tokenize")
    asked = [body for body in told if "3 + 5" in str(body.get("messages"))]
    assert asked[0]["chat_template_kwargs"] == {"enable_thinking": False}
