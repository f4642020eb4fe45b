"""Requests that would cost the others: what they are told, and how little is done before that."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import orjson
import pytest
from websockets.exceptions import ConnectionClosed

from frontrunner.runtime.engines import ScriptedEngine
from frontrunner.runtime.prompts.tokenizing import LARGE, is_large
from frontrunner.runtime.serving import create_app
from frontrunner.runtime.serving.requests import bounds, limits

from .conftest import Serve, Served
from .raw_http import exchange, head, listening, status_of
from .sockets import dial

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
RACE: dict[str, Any] = {"branches": 2, "deadline": 2}


def chat(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "6 times 7?"}], "frontrunner": RACE, **fields}


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def call(arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments}


def parameters(**given: Any) -> dict[str, Any]:
    strategy = {"strategy": "majority", "parameters": {"weight": "confidence", **given}}
    return {**RACE, **strategy}


#: What is sent where, and the parameter that the refusal names.
HOSTILE: dict[str, tuple[str, Any, str | None]] = {
    "stop strings": (CHAT, chat(stop=["x" + str(i) for i in range(10_000)]), "stop"),
    "stop strings of completions": (COMPLETIONS, {"prompt": "a", "stop": ["x"] * 100_000}, "stop"),
    "a long stop string": (CHAT, chat(stop=["x" * 100_000]), "stop"),
    "one long stop string": (CHAT, chat(stop="x" * 100_000), "stop"),
    "wrong stop strings": (CHAT, chat(stop=[1] * 33), "stop"),
    "tools": (CHAT, chat(tools=[{"type": "function"}] * 5_000), "tools"),
    "tools of responses": (RESPONSES, {"input": "a", "tools": [1] * 5_000}, "tools"),
    "messages": (CHAT, chat(messages=[{"role": "user", "content": "a"}] * 5_000), "messages"),
    "messages that are none": (CHAT, chat(messages=[1] * 5_000), "messages"),
    "parts": (CHAT, chat(messages=[{"role": "user", "content": [1] * 3_000}]), "messages"),
    "items": (RESPONSES, {"input": [{"role": "user", "content": "a"}] * 5_000}, "input"),
    "metadata": (
        RESPONSES,
        {"input": "a", "metadata": {str(i): "" for i in range(17)}},
        "metadata",
    ),
    "long metadata": (RESPONSES, {"input": "a", "metadata": {"a": "b" * 600}}, "metadata"),
    "biases": (CHAT, chat(logit_bias={str(i): 0 for i in range(2_000)}), "logit_bias"),
    "prompts": (COMPLETIONS, {"prompt": ["a"] * 5_000}, "prompt"),
    "token ids that are none": (COMPLETIONS, {"prompt": [-1] * 100_000}, "prompt[0]"),
    "token ids and then text": (COMPLETIONS, {"prompt": [1] * 50_000 + ["a"]}, "prompt"),
    "strings": (CHAT, chat(stop=["x"] * 200_000), "stop"),
    "lists": (RESPONSES, {"input": "a", "tools": [{}] * 100_000}, "tools"),
    "token ids": (COMPLETIONS, {"model": "scripted", "prompt": [1] * 300_000}, "prompt"),
    "fields": (CHAT, chat(**{f"x{i}": 1 for i in range(300)}), None),
    "a long name of a field": (CHAT, chat(frontrunner={"x" * 500_000: 1}), "frontrunner.xxx"),
    "a long name of a model": (CHAT, chat(model="x" * 500_000), "model"),
    "log probabilities": (CHAT, chat(top_logprobs=1_000_000), "top_logprobs"),
    "log probabilities of completions": (
        COMPLETIONS,
        {"prompt": "a", "logprobs": 1_000_000},
        "logprobs",
    ),
    "nested messages": (CHAT, chat(messages=orjson.loads(f"[{nested(70)}]")), "messages"),
    "nested arguments": (RESPONSES, {"input": [call(nested(400))]}, "input[0].arguments"),
    "deeply nested arguments": (RESPONSES, {"input": [call(nested(5_000))]}, "input[0].arguments"),
    "many arguments": (RESPONSES, {"input": [call(f"[{'[],' * 9_000}1]")]}, "input[0].arguments"),
    "nested arguments of a chat": (
        CHAT,
        chat(
            messages=[
                {"role": "user", "content": "a"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "c", "function": {"name": "f", "arguments": nested(400)}}
                    ],
                },
            ]
        ),
        "messages[1].tool_calls[0].function.arguments",
    ),
}


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[list[Any]]:
    """What a method of the engine is called with."""
    calls, method = list[Any](), getattr(ScriptedEngine, name)

    def counting(self: ScriptedEngine, *given: Any) -> Any:
        calls.append(given)
        return method(self, *given)

    monkeypatch.setattr(ScriptedEngine, name, counting)
    yield calls
    monkeypatch.undo()


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_too_much_is_named_and_costs_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, body, param = HOSTILE[name]
    async with serve() as served:
        with counted(monkeypatch, "encode_chat") as chats, counted(monkeypatch, "encode") as texts:
            async with served.http.post(path, json=body) as response:
                error = (await response.json())["error"]
        assert response.status == 400, error
        assert error["type"] == "invalid_request_error"
        assert len(orjson.dumps(error)) < 2_000
        told = error["param"]
        assert told == param or (param and told and told.startswith(param)), error
        assert (chats, texts) == ([], [])
        assert served.engine.requests == []
        await healthy(served)


async def healthy(served: Served) -> None:
    """Others are served as before."""
    async with served.http.post(RESPONSES, json={"input": "a", "frontrunner": RACE}) as response:
        assert response.status == 200


async def test_log_probabilities_of_a_strategy_are_bounded(serve: Serve) -> None:
    async with serve() as served:
        race = parameters(logprobs=1_000_000)
        async with served.http.post(CHAT, json=chat(frontrunner=race)) as response:
            error = (await response.json())["error"]
            assert response.status == 400
            assert error["param"].endswith("parameters.logprobs")
        assert served.engine.requests == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" + b"[]," * 9_000 + b"1]", id="lists"),
        pytest.param(b"[" + b"{}," * 9_000 + b"1]", id="objects"),
        pytest.param(b"{" + b",".join(b'"%d":1' % i for i in range(70_000)) + b"}", id="fields"),
        pytest.param(b"[" + b'"a",' * 70_000 + b"1]", id="strings"),
        pytest.param(b"[" + b"1," * 150_000 + b"1]", id="values"),
        pytest.param(b'["' + b'\\"' * 99 + b'",' + b"[]," * 9_000 + b"1]", id="behind a string"),
    ],
)
def test_json_of_too_many_values_is_not_parsed(
    monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(limits.orjson, "loads", _never)
    with pytest.raises(bounds.BadParameter, match="more than"):
        limits.parse_json(data, 64)


def _never(*_: Any) -> Any:
    raise AssertionError("it was parsed")


@pytest.mark.parametrize(
    "text",
    ["[{" * 50_000, "a,b" * 50_000, '"' * 100_000, '\\"[' * 50_000, "\\" * 99_999 + "[[" * 9_000],
)
def test_what_stands_in_a_text_is_not_counted(text: str) -> None:
    assert limits.parse_json(orjson.dumps({"a": text}), 64) == {"a": text}


def test_token_ids_may_be_many() -> None:
    prompt = {"prompt": [12_345] * 130_000}
    assert limits.parse_json(orjson.dumps(prompt), 64) == prompt


# ── compressed bodies ─────────────────────────────────────────────────────────────────────────


def deflated(data: bytes, window: int) -> bytes:
    deflating = zlib.compressobj(wbits=window)
    return deflating.compress(data) + deflating.flush()


COMPRESSIONS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", lambda data: deflated(data, zlib.MAX_WBITS)),
    "raw": ("Deflate", lambda data: deflated(data, -zlib.MAX_WBITS)),
}


def posted(body: bytes, encoding: str, *headers: str) -> bytes:
    length = f"Content-Length: {len(body)}"
    sent = (length, f"Content-Encoding: {encoding}", "Connection: close", *headers)
    return head(f"POST {CHAT}", *sent) + body


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("uncompressed_by", ["us", "aiohttp"])
async def test_a_compressed_body(serve: Serve, name: str, uncompressed_by: str) -> None:
    encoding, compress = COMPRESSIONS[name]
    body = orjson.dumps(chat())
    async with serve() as served, by(served, uncompressed_by) as port:
        reply = await exchange(port, posted(compress(body), encoding))
        assert status_of(reply) == 200
        whole = compress(body)
        for broken in (whole[:-9], whole + whole, whole + b"more", b"no" + whole, b""):
            reply = await exchange(port, posted(broken, encoding))
            assert status_of(reply) in ((400,) if uncompressed_by == "us" else (400, 200))


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("uncompressed_by", ["us", "aiohttp"])
async def test_a_bomb_is_uncompressed_no_further_than_the_limit(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str, uncompressed_by: str
) -> None:
    encoding, compress = COMPRESSIONS[name]
    bomb = compress(b" " * (64 << 20))
    made = list[int]()
    decompressobj = zlib.decompressobj

    class Counted:
        def __init__(self, **how: Any) -> None:
            self._inner = decompressobj(**how)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def decompress(self, *given: Any) -> bytes:
            slice = self._inner.decompress(*given)
            made.append(len(slice))
            return slice

    monkeypatch.setattr(zlib, "decompressobj", Counted)
    async with serve() as served, by(served, uncompressed_by) as port:
        reply = await exchange(port, posted(bomb, encoding))
        assert status_of(reply) == 413
        await healthy(served)
    # aiohttp has some slices of 256 KiB waiting.
    assert sum(made) <= (1 << 20) + (2 << 20) * (uncompressed_by == "aiohttp") + (64 << 10)
    assert max(made) <= 1 << 19


def by(served: Served, whom: str) -> Any:
    """A server whose connections leave uncompressing to us, or to aiohttp."""

    @contextmanager
    def theirs() -> Iterator[int]:
        yield served.port

    return listening(create_app(served.runtime)) if whom == "us" else _Async(theirs())


class _Async:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aenter__(self) -> Any:
        return self._inner.__enter__()

    async def __aexit__(self, *exc_info: Any) -> None:
        self._inner.__exit__(*exc_info)


async def test_a_bomb_without_a_key_is_not_uncompressed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYS", "secret")
    async with serve(keys_env="KEYS") as served, listening(create_app(served.runtime)) as port:
        monkeypatch.setattr(zlib, "decompressobj", _never)
        reply = await exchange(port, posted(gzip.compress(b" " * 9_999), "gzip"))
    assert status_of(reply) == 401


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "x" * 500])
async def test_other_compressions_are_refused(serve: Serve, encoding: str) -> None:
    async with serve() as served, listening(create_app(served.runtime)) as port:
        reply = await exchange(port, posted(b"{}", encoding))
        assert status_of(reply) == 415
        assert b"Accept-Encoding: gzip, deflate" in reply
        assert b'"param":"Content-Encoding"' in reply


# ── long questions ────────────────────────────────────────────────────────────────────────────


async def test_a_long_question_is_tokenised_off_the_loop(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = list[bool]()
    encode = ScriptedEngine.encode

    def noting(self: ScriptedEngine, text: str) -> tuple[int, ...]:
        if len(text) > 100:
            try:
                anyio.from_thread.check_cancelled()
                threads.append(True)
            except (RuntimeError, AttributeError):
                threads.append(False)
        return encode(self, text)

    monkeypatch.setattr(ScriptedEngine, "encode", noting)
    async with serve() as served:
        for content, status in (("a " * 200, 200), ("a " * 120_000, 400)):
            body = chat(messages=[{"role": "user", "content": content}])
            async with served.http.post(CHAT, json=body) as response:
                assert response.status == status
        async with served.http.post(COMPLETIONS, json={"prompt": "a " * 120_000}) as response:
            assert (await response.json())["error"]["code"] == "context_length_exceeded"
        assert threads == [False, True, True]
        await healthy(served)


@pytest.mark.parametrize(
    ("value", "large"),
    [
        ("x" * (LARGE - 100), False),
        ("x" * LARGE, True),
        ([{"role": "user", "content": "x" * LARGE}], True),
        ([{"role": "user", "content": "x"}] * 20, False),
        ([{"role": "user", "content": "x"}] * 500, True),
        ([{"a": [[]] * 600}], True),
        (None, False),
    ],
)
def test_what_is_large(value: Any, large: bool) -> None:
    assert is_large(value, ()) is large


# ── the websocket ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [n for n, (path, _, _) in HOSTILE.items() if path == RESPONSES])
async def test_a_hostile_message_costs_one_error(serve: Serve, name: str) -> None:
    _, body, param = HOSTILE[name]
    async with serve() as served, dial(served, max_size=None) as client:
        await client.send("response.create", **body)
        error = await client.next()
        assert error["type"] == "error"
        assert error["status"] == 400
        assert error["param"].startswith(param or "")
        await client.create()
        await client.ended()


async def test_a_message_that_is_too_large_costs_its_connection_alone(serve: Serve) -> None:
    async with serve() as served, dial(served) as client, dial(served) as other:
        await client.create("x" * (1 << 20))
        assert await client.closed() == 1009
        await other.create()
        await other.ended()


async def test_a_flood_of_messages_leaves_others_their_turns(serve: Serve) -> None:
    async with serve() as served, dial(served) as client:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            for _ in range(200):
                await client.socket.send("no JSON")
            try:
                for _ in range(200):
                    await client.next()
            except ConnectionClosed:
                pytest.fail("the connection was closed")
            tasks.cancel_scope.cancel()
        assert turns >= 200


# ── long lists are checked item by item ───────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("place", [0, 1, 700, 1_499])
async def test_one_wrong_item_of_a_long_list_is_named(serve: Serve, path: str, place: int) -> None:
    items: list[dict[str, Any]] = [{"role": "user", "content": "abcdefgh"}] * 1_500
    items[place] = {"role": "user", "content": [{"type": "text", "text": 1}]}
    field = "messages" if path == CHAT else "input"
    async with serve() as served:
        asked = {field: items, "frontrunner": RACE}
        async with served.http.post(path, json=asked) as response:
            error = (await response.json())["error"]
        assert response.status == 400
        assert error["param"] == f"{field}[{place}].content[0].text"


async def test_what_else_is_wrong_is_said_before_a_long_list_is_checked(serve: Serve) -> None:
    messages = [{"role": "user", "content": "abcdefgh"}] * 1_000
    async with serve() as served:
        asked = chat(messages=[*messages, {"role": 1}], temperature=9)
        async with served.http.post(CHAT, json=asked) as response:
            assert (await response.json())["error"]["param"] == "temperature"


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_a_long_list_that_is_none_is_refused(serve: Serve, path: str) -> None:
    field = "messages" if path == CHAT else "input"
    async with serve() as served:
        for wrong in ({"a": "b" * 20_000}, [[]] * 20, [None, "b" * 20_000]):
            async with served.http.post(path, json={field: wrong, "x": "y" * 20_000}) as response:
                assert response.status == 400
                assert (await response.json())["error"]["param"].startswith(field)


async def test_a_long_conversation_reaches_the_model_whole(serve: Serve) -> None:
    turns = [f"turn {place} " + "x" * 20 for place in range(1_000)]
    messages = [
        {"role": ("assistant", "user")[place % 2], "content": said}
        for place, said in enumerate(turns)
    ]
    async with serve() as served:
        async with served.http.post(CHAT, json=chat(messages=messages)) as response:
            assert response.status == 200
        assert served.engine.requests[0].prompt == served.engine.encode(" ".join(turns))
