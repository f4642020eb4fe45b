"""An OpenAI-compatible endpoint on real sockets, whose model writes its position: ``w7`` is the
token after seven others. A test says what it can do, and how it misbehaves."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from frontrunner.runtime.config import OpenAISettings
from frontrunner.runtime.engines.openai.engine import OpenAIEngine

MODEL = "writer"
TOKENS = 3_000  # that an answer has
BOS = 1 + sum(b"<s>") % 30_000  # what begins a text, where something does
#: Takes a request's answer over; True: it has been answered.
Fault = Callable[[web.Request, web.StreamResponse | None], Awaitable[web.StreamResponse | None]]


def words(text: str) -> list[int]:
    """Token ids of the fake's own."""
    return [1 + sum(word.encode()) % 30_000 for word in text.split()]


@dataclass
class FakeEndpoint:
    """What it can do, what it was asked, and what runs on it."""

    vllm: bool = True  # token ids, /tokenize, and parameters of vLLM's own
    priority: bool = True
    logprobs: bool = True
    echo: bool = True  # with log probabilities; others answer as if it was not asked for
    completions: bool = True
    chat: bool = True
    strict: bool = True  # refuses parameters that it does not know
    context: int | None = 100_000
    owner: str = "vllm"
    key: str | None = None
    delay: float = 0.001  # seconds a token
    length: Callable[[str], int] = lambda prompt: TOKENS  # tokens of an answer to a text
    write: Callable[[int], str] = lambda position: f"w{position} "
    fault: Callable[[dict[str, Any], int], Fault | None] = lambda body, number: None
    template: Callable[[dict[str, Any]], str | None] | None = None
    """The text of a conversation; None: it is refused, as there is no chat template."""
    bos: bool = False  # whether its tokenizer begins texts by a token of its own
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    closed_early: int = 0

    def __post_init__(self) -> None:
        application = web.Application()
        application.router.add_get("/v1/models", self._models)
        application.router.add_post("/tokenize", self._tokenize)
        application.router.add_post("/v1/completions", self._complete)
        application.router.add_post("/v1/chat/completions", self._complete)
        self._server = TestServer(application)

    async def start(self, port: int | None = None) -> None:
        self._server.port = port
        await self._server.start_server(shutdown_timeout=0.1)

    @property
    def port(self) -> int:
        assert self._server.port is not None
        return self._server.port

    async def stop(self) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("/v1"))

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.asked if asked == path]

    # ── handlers ──────────────────────────────────────────────────────────────────────────────

    def _check(self, request: web.Request) -> None:
        said = request.headers.get("Authorization")
        if self.key is not None and said != f"Bearer {self.key}":
            raise web.HTTPUnauthorized(text=f'{{"error": {{"message": "not you: {said}"}}}}')

    async def _models(self, request: web.Request) -> web.Response:
        self._check(request)
        entry: dict[str, Any] = {"id": MODEL, "object": "model", "owned_by": self.owner}
        if self.context is not None:
            entry["max_model_len"] = self.context
        return web.json_response({"data": [entry]})

    async def _tokenize(self, request: web.Request) -> web.Response:
        if not self.vllm:
            raise web.HTTPNotFound
        self._check(request)
        body = await request.json()
        self.asked.append(("/tokenize", body))
        if "messages" in body and self.template is not None:
            if (said := self.template(body)) is None:
                raise web.HTTPBadRequest(text='{"error": {"message": "no chat template"}}')
            return web.json_response({"tokens": words(said)})
        if "messages" in body:
            said = " ".join(str(turn["content"]) for turn in body["messages"])
            if "unspeakable" in said:
                raise web.HTTPBadRequest(text='{"error": {"message": "no such role"}}')
            return web.json_response({"tokens": [2, *words(said), 3]})
        start = [BOS] if self.bos and body.get("add_special_tokens", True) else []
        return web.json_response({"tokens": [*start, *words(body["prompt"])]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        chat = request.path.endswith("/chat/completions")
        if not (self.chat if chat else self.completions):
            raise web.HTTPNotFound
        self._check(request)
        body = await request.json()
        number = len(self.asked)
        self.asked.append((request.path, body))
        self.headers.append(request.headers)
        if refused := self._refusal(body):
            return web.json_response({"error": {"message": refused}}, status=400)
        fault = self.fault(body, number)
        if fault is not None and (answer := await fault(request, None)) is not None:
            return answer
        if not body["stream"]:
            return await self._whole(body)
        return await self._stream(request, body, chat, fault)

    async def _whole(self, body: dict[str, Any]) -> web.Response:
        """A completion with log probabilities. A prompt's tokens are its words or its ids."""
        prompt, most, k = body["prompt"], body["max_tokens"], body["logprobs"]
        await anyio.sleep(self.delay)
        told = prompt.split() if isinstance(prompt, str) else [str(i) for i in prompt]
        told = [f"{word} " for word in told]
        written = [self.write(len(told) + n) for n in range(most)]
        tokens = [*(told if body.get("echo") and self.echo else ()), *written]
        own: list[float | None] = [-1.0 - place for place in range(len(tokens))]
        tops: list[Any] = [{t: p, **({"x": -9.0} if k > 1 else {})} for t, p in zip(tokens, own)]  # noqa: B905
        if len(tokens) > most:
            own[0] = tops[0] = None
        logprobs = {"tokens": tokens, "token_logprobs": own, "top_logprobs": tops}
        choice = {"index": 0, "text": "".join(tokens), "finish_reason": "length"}
        usage = {"prompt_tokens": len(told), "completion_tokens": most}
        return web.json_response({"choices": [{**choice, "logprobs": logprobs}], "usage": usage})

    def _refusal(self, body: dict[str, Any]) -> str | None:
        ours = {"top_k", "min_p", "repetition_penalty", "include_stop_str_in_output"} | {
            "return_token_ids",
            "stream_interval",
            "priority",
            "add_special_tokens",
            "continue_final_message",
            "add_generation_prompt",
        }
        if not self.vllm and self.strict and (unknown := ours & body.keys()):
            return f"unknown parameter: {min(unknown)}"
        if not self.vllm and isinstance(body.get("prompt"), list):
            return "a prompt is a text"
        if body.get("priority") and not self.priority:
            return "priority scheduling is not enabled"
        if body.get("logprobs") and not self.logprobs:
            return "no log probabilities"
        return None

    async def _stream(
        self, request: web.Request, body: dict[str, Any], chat: bool, fault: Fault | None
    ) -> web.StreamResponse:
        start, length = self._place(body, chat)
        limit = body["max_tokens"]
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        ended = False
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for n in range(min(limit, length)):
                if n == 1 and fault is not None and await fault(request, response) is not None:
                    return response
                await anyio.sleep(self.delay)
                last = n + 1 == min(limit, length)
                reason = ("stop" if length <= limit else "length") if last else None
                await response.write(_event(self._choice(body, chat, start + n, reason)))
            await response.write(b"data: [DONE]\n\n")
            ended = True
            return response
        finally:
            self.running -= 1
            self.closed_early += not ended

    def _place(self, body: dict[str, Any], chat: bool) -> tuple[int, int]:
        """How many tokens the prompt has, and how many its answer."""
        if not chat and isinstance(body["prompt"], list):
            return len(body["prompt"]), self.length(" ".join(map(str, body["prompt"])))
        if chat:
            text = " ".join(str(turn["content"]) for turn in body["messages"])
        else:
            text = body["prompt"]
        return len(text.split()), self.length(text)

    def _choice(
        self, body: dict[str, Any], chat: bool, position: int, reason: str | None
    ) -> dict[str, Any]:
        text = self.write(position)
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason}
        choice |= {"delta": {"content": text}} if chat else {"text": text}
        if self.vllm and body.get("return_token_ids"):
            choice["token_ids"] = [40_000 + position]
        if body.get("logprobs") and chat:
            top = [{"token": f"t{i}", "logprob": -float(i)} for i in range(body["top_logprobs"])]
            choice["logprobs"] = {"content": [{"token": text, "top_logprobs": top}]}
        elif body.get("logprobs"):
            top_words = {f"t{i}": -float(i) for i in range(body["logprobs"])}
            choice["logprobs"] = {"tokens": [text], "top_logprobs": [top_words]}
        return choice


def _event(choice: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


@asynccontextmanager
async def endpoint(**abilities: Any) -> AsyncGenerator[FakeEndpoint, None]:
    fake = FakeEndpoint(**abilities)
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()


def engine_for(fake: FakeEndpoint, **settings: Any) -> OpenAIEngine:
    return OpenAIEngine(OpenAISettings(url=fake.url, **settings))


@asynccontextmanager
async def engine_on(fake: FakeEndpoint, **settings: Any) -> AsyncGenerator[OpenAIEngine, None]:
    """A started engine on ``fake``."""
    engine = engine_for(fake, **settings)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()
