"""Token ids to and from an endpoint that speaks as vLLM's servers do, with a real tokenizer."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from aiohttp import web
from jinja2 import TemplateError
from tests.backends import virtual_asyncio
from tests.runtime.engines.fake_endpoint import FakeEndpoint, _event

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus

from .texts import TEXT, turned
from .tokenized_engine import BROKEN, encode, pieces

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")

BRANCHES = 16
QUESTION = "Tom hat 3 Äpfel und kauft 5. 林檎はいくつ？ 🍎"
SYSTEM = "Antworte kurz. 👍🏽"
SUFFIX = "\n\nTime is up. 答えは \\boxed{"


class Endpoint(FakeEndpoint):
    """Writes the multilingual text, each request from another place on, until it is left; what
    ends with the suffix is answered."""

    tokenizer: Any
    written: dict[str, list[int]]  # by the name of the request

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "messages" in body:
            try:
                text = self.tokenizer.apply_chat_template(
                    body["messages"],
                    tools=body.get("tools"),
                    tokenize=False,
                    add_generation_prompt=True,
                )
            except TemplateError as error:  # as vLLM's server answers it
                said = {"error": {"message": f"chat template: {error}"}}
                return web.json_response(said, status=400)
        else:
            text = body["prompt"]
        special = body.get("add_special_tokens", False)
        return web.json_response(
            {"tokens": self.tokenizer.encode(text, add_special_tokens=special)}
        )

    async def _stream(
        self, request: web.Request, body: dict[str, Any], chat: bool, fault: Any
    ) -> web.StreamResponse:
        prompt, name = body["prompt"], request.headers["X-Request-Id"]
        forced = self.tokenizer.decode(prompt).endswith(SUFFIX)
        rng = Random(name)
        text = "7}" if forced else turned(rng.randrange(len(TEXT)))
        ids = self.tokenizer.encode(text, add_special_tokens=False)[: body["max_tokens"]]
        told = self.written[name] = list[int]()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in pieces(self.tokenizer, prompt, ids, rng):
            await anyio.sleep(0 if forced else rng.uniform(0.02, 0.2))
            told += chunk.token_ids
            done = "stop" if len(told) == len(ids) else None
            choice = {"index": 0, "text": chunk.text, "finish_reason": done}
            await response.write(_event({**choice, "token_ids": list(chunk.token_ids)}))
        await response.write(b"data: [DONE]\n\n")
        return response


@asynccontextmanager
async def running(tokenizer: Any) -> AsyncGenerator[Endpoint, None]:
    endpoint = Endpoint()
    endpoint.tokenizer, endpoint.written = tokenizer, {}
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.stop()


@virtual_asyncio
@pytest.mark.parametrize("whose", ["the endpoint's tokenizer", "a local tokenizer"])
async def test_ids_are_exact(
    tokenizer: Any, model_folder: Path, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(name: str) -> Any:
        assert name == str(model_folder)
        return tokenizer

    # Some take seconds to load.
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", loaded)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    async with running(tokenizer) as endpoint:
        result, bodies = await race(endpoint, model_folder if "local" in whose else None, messages)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt, suffix = encode(tokenizer, text), encode(tokenizer, SUFFIX)
    asked = [body["prompt"] for body in bodies if body["prompt"] == prompt]
    forced = [body["prompt"] for body in bodies if body["prompt"][-len(suffix) :] == suffix]
    assert len(asked) == len(forced) == BRANCHES
    middles = [each[len(prompt) : -len(suffix)] for each in forced]
    for branch in result.branches:
        assert branch.status is BranchStatus.FORCED
        assert BROKEN not in branch.text
        assert branch.text.endswith(f"{SUFFIX}7}}")
    # What each was continued with is what it had been given, or all of that but its last piece.
    written = [ids for ids in endpoint.written.values() if len(ids) > 3]
    for each in forced:
        assert each[: len(prompt)] == prompt
    for middle in middles:
        assert any(ids[: len(middle)] == middle for ids in written)


async def race(
    endpoint: Endpoint, tokenizer: Path | None, messages: list[dict[str, str]]
) -> tuple[Result, list[dict[str, Any]]]:
    """A race that its deadline cuts, and what the endpoint was asked in it."""
    engine: dict[str, Any] = {"kind": "openai", "url": endpoint.url, "max_branches": 64}
    if tokenizer is not None:
        engine["tokenizer"] = str(tokenizer)
    settings = Settings.from_dict(
        {
            "engine": engine,
            "race": {"branches": BRANCHES, "deadline": 3.0},
            "forcing": {"suffix": SUFFIX},
            "prompt": {"instruction": ""},
        }
    )
    async with Runtime(make_engine(settings.engine), settings) as runtime:
        endpoint.asked.clear()
        result = await runtime.solve(messages)
    return result, endpoint.bodies("/v1/completions")
