"""httpx-sse: the bare stream, as a backend of one's own reads it."""

import json

import httpx
from checking import BASE, QUESTION, check
from httpx_sse import connect_sse


def read(path, body):
    with (
        httpx.Client() as client,
        connect_sse(client, "POST", f"{BASE}/{path}", json=body) as source,
    ):
        return [event.data for event in source.iter_sse()]


def chat():
    events = read(
        "chat/completions", {"messages": [{"role": "user", "content": QUESTION}], "stream": True}
    )
    assert events[-1] == "[DONE]"
    return "42" in "".join(
        c["delta"].get("content") or "" for e in events[:-1] for c in json.loads(e)["choices"]
    )


check("stream", chat)
check(
    "responses",
    lambda: (
        json.loads(read("responses", {"input": QUESTION, "stream": True})[-1])["type"]
        == "response.completed"
    ),
)
