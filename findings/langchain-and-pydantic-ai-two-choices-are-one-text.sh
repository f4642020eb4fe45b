#!/usr/bin/env bash
# langchain-openai, pydantic-ai: two choices that are streamed become one text, and counts that are repeated are added up
#
# langchain-openai 1.7.4 and pydantic-ai-slim 2.38.0. With n=2 the pieces of both choices come side by side, each with its
# index, which neither looks at: "forty" and "sixty" are "forsixtyty", and two calls of a tool are one whose arguments are
# lost or mixed, of a function "ff". A server that tells the usage so far in each chunk (vLLM's continuous_usage_stats) is taken to have used the sum.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder/langchain" langchain-openai==1.7.4
python3 -m pip install --quiet --disable-pip-version-check --target "$folder/pydantic" "pydantic-ai-slim[openai]==2.38.0"

cat >"$folder/streams.py" <<'PYTHON'
import json

import httpx2 as httpx  # which the openai package uses


def chunk(index, usage=None, **delta):
    choices = [{"index": index, "delta": delta, "finish_reason": None}]
    told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return {**told, "usage": usage} if usage else told


def call(index, arguments, **first):
    function = {"arguments": arguments, **({"name": "f"} if first else {})}
    return chunk(index, tool_calls=[{"index": 0, "function": function, **first}])


def counted(text, tokens):
    return chunk(0, {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}, content=text)


STREAMS = {
    "n=1": [chunk(0, content="for"), chunk(0, content="ty")],
    "n=2": [chunk(0, content="for"), chunk(1, content="six"), chunk(0, content="ty"), chunk(1, content="ty")],
    "n=2, calls": [
        call(0, '{"a": ', id="x", type="function"),
        call(1, '{"a": ', id="y", type="function"),
        call(0, "40}"),
        call(1, "60}"),
    ],
    "usage in each chunk": [counted("for", 1), counted("ty", 2)],
}


def transport(name):
    body = "".join(f"data: {json.dumps(one)}\n\n" for one in STREAMS[name]) + "data: [DONE]\n\n"
    headers = {"content-type": "text/event-stream"}
    return httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, text=body))
PYTHON
cat >"$folder/by_langchain.py" <<'PYTHON'
from langchain_openai import ChatOpenAI
from streams import STREAMS, httpx, transport

for name in STREAMS:
    http = httpx.Client(transport=transport(name))
    model = ChatOpenAI(model="m", api_key="none", base_url="http://localhost/v1", http_client=http, stream_usage=True)
    whole = None
    for piece in model.stream("?", n=2 if "n=2" in name else 1):
        whole = piece if whole is None else whole + piece
    calls = [(call["name"], call["args"]) for call in whole.tool_calls]
    print(f"langchain, {name}:", whole.content or calls, (whole.usage_metadata or {}).get("total_tokens"))
PYTHON
cat >"$folder/by_pydantic_ai.py" <<'PYTHON'
import asyncio

from openai import AsyncOpenAI
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from streams import STREAMS, httpx, transport


async def read(name):
    http = httpx.AsyncClient(transport=transport(name))
    client = AsyncOpenAI(api_key="none", base_url="http://localhost/v1", http_client=http)
    model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
    settings = {"extra_body": {"n": 2 if "n=2" in name else 1}}
    asked = [ModelRequest.user_text_prompt("?")]
    async with model_request_stream(model, asked, model_settings=settings) as stream:
        async for _ in stream:
            pass
    reply = stream.get()
    parts = [getattr(part, "content", None) or (part.tool_name, part.args) for part in reply.parts]
    print(f"pydantic-ai, {name}:", *parts, reply.usage.total_tokens or None)


for name in STREAMS:
    asyncio.run(read(name))
PYTHON
PYTHONPATH=$folder/langchain:$folder python3 "$folder/by_langchain.py" >"$folder/seen" 2>/dev/null
PYTHONPATH=$folder/pydantic:$folder python3 "$folder/by_pydantic_ai.py" >>"$folder/seen" 2>/dev/null
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
langchain, n=1: forty None
langchain, n=2: forsixtyty None
langchain, n=2, calls: [('f', {})] None
langchain, usage in each chunk: forty 17
pydantic-ai, n=1: forty None
pydantic-ai, n=2: forsixtyty None
pydantic-ai, n=2, calls: ('ff', '{"a": {"a": 40}60}') None
pydantic-ai, usage in each chunk: forty 17
EXPECTED
