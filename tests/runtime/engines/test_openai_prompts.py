"""Prompts for an endpoint: variables of its chat template, raw prompts, models without a
template."""

from contextlib import aclosing
from typing import Any

import pytest
from tests.backends import STEADY_ASYNCIO

from frontrunner.runtime.config import OpenAISettings, PromptSettings, Settings
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.engines.openai.placeholder_ids import RawText, read_parts, spell_raw
from frontrunner.runtime.engines.openai.wire import Capabilities, completion_body, prompt_parts
from frontrunner.runtime.engines.protocol import (
    ChatSupport,
    Generation,
    Sampling,
    SupportsRawPrompts,
    encode_prompt,
)
from frontrunner.runtime.errors import ConfigError, EngineError

from .fake_endpoint import BOS, FakeEndpoint, endpoint, engine_on, words

ASKED: Any = [{"role": "user", "content": "What is 3 + 5?"}]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return STEADY_ASYNCIO


async def read(engine: OpenAIEngine, prompt: tuple[int, ...]) -> None:
    request = Generation("r", prompt, 2, Sampling())
    async with aclosing(engine.generate(request)) as chunks:
        async for _ in chunks:
            pass


def asked(fake: FakeEndpoint, path: str) -> dict[str, Any]:
    """The last body that a path was sent."""
    return fake.bodies(path)[-1]


# ── variables of the template ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("vllm", [True, False])
async def test_variables_go_to_the_endpoint_that_applies_the_template(vllm: bool) -> None:
    prompt = PromptSettings(template_arguments={"date": "today", "enable_thinking": True})
    path = "/tokenize" if vllm else "/v1/chat/completions"
    async with endpoint(vllm=vllm, completions=vllm) as fake:
        engine = OpenAIEngine(OpenAISettings(url=fake.url), prompt)
        await engine.start()
        arguments = {"enable_thinking": False, "reasoning_effort": "low"}
        await read(engine, engine.encode_chat(ASKED, None, arguments))
        given = asked(fake, path)
        template = {"date": "today", "enable_thinking": False}
        if vllm:
            template["reasoning_effort"] = "low"
        else:  # as OpenAI has it
            assert given["reasoning_effort"] == "low"
        assert given["chat_template_kwargs"] == template
        assert given["messages"] == ASKED
        await engine.aclose()


async def test_without_variables_an_endpoint_is_sent_none() -> None:
    async with endpoint() as fake, engine_on(fake) as engine:
        await read(engine, engine.encode_chat(ASKED))
        assert not any("chat_template_kwargs" in body for _, body in fake.asked)


def test_a_template_of_ones_own_needs_a_tokenizer_of_ones_own() -> None:
    engine = {"kind": "openai", "url": "https://host/v1"}
    with pytest.raises(ConfigError, match=r"prompt\.chat_template needs engine\.tokenizer"):
        Settings.from_dict({"engine": engine, "prompt": {"chat_template": "own.jinja"}})
    Settings.from_dict(
        {"engine": {**engine, "tokenizer": "folder"}, "prompt": {"chat_template": "own.jinja"}}
    )


# ── what the endpoint's template shows ────────────────────────────────────────────────────────


def written(body: dict[str, Any], *, system: bool = True, tools: bool = False) -> str:
    """A conversation as a template writes it that shows these."""
    turns = [m for m in body["messages"] if system or m["role"] != "system"]
    shown = str(body.get("tools")) if tools else ""
    return shown + " ".join(f"{m['role']}: {m['content']}" for m in turns)


@pytest.mark.parametrize("system", [True, False])
@pytest.mark.parametrize("tools", [True, False])
async def test_it_is_found_out_by_what_makes_a_difference(system: bool, tools: bool) -> None:
    def template(body: dict[str, Any]) -> str:
        return written(body, system=system, tools=tools)

    async with endpoint(template=template) as fake, engine_on(fake) as engine:
        assert engine.info.chat == ChatSupport(system=system, tools=tools)


async def test_a_template_may_show_only_what_the_system_says_first() -> None:
    def template(body: dict[str, Any]) -> str:
        first, *later = body["messages"]
        return written({"messages": [first]}) + written({"messages": later}, system=False)

    async with endpoint(template=template) as fake, engine_on(fake) as engine:
        assert engine.info.chat == ChatSupport(system=True, tools=False, late_system=False)


async def test_a_template_that_refuses_a_system_message_shows_none() -> None:
    def template(body: dict[str, Any]) -> str | None:
        return None if body["messages"][0]["role"] == "system" else written(body)

    async with endpoint(template=template) as fake, engine_on(fake) as engine:
        assert engine.info.chat == ChatSupport(system=False, tools=False)
        with pytest.raises(EngineError, match="refuses the messages"):
            await read(engine, engine.encode_chat([{"role": "system", "content": "Be."}, *ASKED]))


async def test_a_base_model_behind_an_endpoint_gets_the_plain_layout() -> None:
    def template(body: dict[str, Any]) -> None:
        return None

    async with endpoint(template=template, bos=True) as fake, engine_on(fake) as engine:
        assert engine.info.chat == ChatSupport(template=False, system=True, tools=False)
        await read(engine, engine.encode_chat(ASKED))
        layout = "Question: What is 3 + 5?\nAnswer:"
        assert asked(fake, "/v1/completions")["prompt"] == [BOS, *words(layout)]


# ── raw prompts ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bos", [True, False])
async def test_a_raw_prompt_begins_as_the_endpoint_has_it_and_never_twice(bos: bool) -> None:
    async with endpoint(bos=bos) as fake, engine_on(fake) as engine:
        assert isinstance(engine, SupportsRawPrompts)
        await read(engine, encode_prompt(engine, "once upon"))
        start = [BOS] if bos else []
        assert asked(fake, "/v1/completions")["prompt"] == [*start, *words("once upon")]
        await read(engine, encode_prompt(engine, "<s> once upon"))
        assert asked(fake, "/v1/completions")["prompt"] == [BOS, *words("once upon")]
        await read(engine, engine.encode("once upon"))
        assert asked(fake, "/v1/completions")["prompt"] == words("once upon")


def test_an_endpoint_of_text_puts_its_own_beginning_there() -> None:
    request, takes = Generation("r", (), 2, Sampling()), Capabilities(vllm=True)
    begun = completion_body("m", "once upon", request, takes, raw=True)
    assert "add_special_tokens" not in begun
    assert completion_body("m", "once upon", request, takes)["add_special_tokens"] is False
    assert prompt_parts([RawText("once "), "upon"]) == (None, "once upon")


def test_a_raw_prompt_is_spelled_whole() -> None:
    for text in ("once upon a time", "é\U0001f40e" * 900):
        assert read_parts(spell_raw(text)) == [RawText(text)]
        assert read_parts((*spell_raw(text), 5)) == [RawText(text), (5,)]
    assert spell_raw("") == ()
