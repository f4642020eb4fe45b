"""Whatever is sent on the websocket, it answers, and keeps nothing.

``FRONTRUNNER_FUZZ_MESSAGES`` says how many messages are tried.
"""

import asyncio
import json
import os
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import orjson
from tests.backends import until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from frontrunner.runtime.engines import BranchScript
from frontrunner.runtime.serving.responses.websocket import SOCKETS
from frontrunner.runtime.serving.runs.run import RUNS

from .conftest import Serve, Served
from .sockets import Client

MESSAGES = int(os.environ.get("FRONTRUNNER_FUZZ_MESSAGES", "1000"))
#: How many are sent before the server is asked whether it is still there.
ROUND = 20
#: What a server may close a connection for: binary, not UTF-8, too large.
CLOSES = {1003, 1007, 1009}

RACE = {"branches": 2, "deadline": 1}
TEMPLATES: list[dict[str, Any]] = [
    {"type": "response.create", "input": "x", "frontrunner": RACE},
    {
        "type": "response.create",
        "model": "scripted",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
        ],
        "instructions": "be brief",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "metadata": {"a": "b"},
        "max_output_tokens": 5,
        "temperature": 0.5,
        "stream_id": "lane",
        "frontrunner": {**RACE, "events": True, "strategy": "majority", "answers": "json"},
    },
    {"type": "response.create", "input": "x", "previous_response_id": "resp_1", "store": False},
    {"type": "response.cancel", "response_id": "resp_1"},
    {"type": "response.cancel", "stream_id": "lane"},
    {"type": "response.cancel"},
    {"type": "response.resume", "response_id": "resp_1", "starting_after": 3},
]
VALUES: list[Any] = [
    None, True, False, 0, -1, 1e308, -0.0, 2**63, 2**64, "", "\x00", "\u202e", "x" * 300, [], {},
    [[]], {"type": "response.create"}, [{"role": "user", "content": None}], "resp_", "response.",
]  # fmt: skip


class Sentences:
    """Random messages, valid ones and such as were valid once."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.ids = ["resp_1"]  # of responses that there are, or were

    def next(self) -> str | bytes:
        """A message; bytes are sent as text that may not be UTF-8."""
        chance = self._chance
        message = orjson.loads(orjson.dumps(chance.choice(TEMPLATES)))
        if "response_id" in message:
            message["response_id"] = chance.choice(self.ids)
        if "previous_response_id" in message:
            message["previous_response_id"] = chance.choice(self.ids)
        kind = chance.random()
        if kind < 0.15:
            return orjson.dumps(message).decode()
        if kind < 0.65:
            for _ in range(chance.randint(1, 3)):
                self._change(message)
            return json.dumps(message)
        if kind < 0.7:
            depth = chance.randint(1, 2_000)
            return '{"type":"response.create","input":' + "[" * depth + "]" * depth + "}"
        if kind < 0.98:
            return self._torn(orjson.dumps(message)).decode("utf-8", "replace")
        return self._torn(orjson.dumps(message)) + b"\xff"

    def _change(self, value: dict[str, Any]) -> None:
        """Put something else somewhere in ``value``."""
        chance = self._chance
        places: list[tuple[Any, Any]] = []
        value.setdefault("type", "response.create")

        def walk(node: Any) -> None:
            keys = node.keys() if isinstance(node, dict) else range(len(node))
            for key in list(keys):
                places.append((node, key))
                if isinstance(node[key], (dict, list)):
                    walk(node[key])

        walk(value)
        node, key = chance.choice(places)
        match chance.randint(0, 2):
            case 0:
                node[key] = deepcopy(chance.choice(VALUES))
            case 1 if isinstance(node, dict):
                node[chance.choice(["type", "input", "x", "deadline", "", "frontrunner"])] = (
                    node.pop(key)
                )
            case _:
                del node[key]

    def _torn(self, data: bytes) -> bytes:
        chance, torn = self._chance, bytearray(data)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(torn) + 1)
            match chance.randint(0, 2):
                case 0:
                    torn[at:at] = chance.randbytes(chance.randint(1, 4))
                case 1:
                    del torn[at : at + chance.randint(1, 10)]
                case _:
                    torn[at : at + 1] = chance.choice(
                        [b'"', b"{", b"}", b"[", b",", b"\\", b"\x00"]
                    )
        return bytes(torn)


async def answers(client: Client, probe: str, note: Callable[[str], None]) -> None:
    """Read until the server answers ``probe``; whatever comes before must make sense."""
    await client.send("response.cancel", response_id=probe)
    while True:
        event = await client.next()
        assert isinstance(event["type"], str)
        if event["type"] == "error":
            assert 400 <= event["status"] < 500, event
            if event.get("response_id") == probe:
                return
        else:
            assert isinstance(event["sequence_number"], int)
            note(event["response_id"])


async def test_nothing_that_is_sent_breaks_it(serve: Serve) -> None:
    sentences, closed = Sentences(MESSAGES), list[int]()
    async with serve(BranchScript.answering("42", seconds=0.002)) as served:
        await alone(served)
        tasks, sent = len(asyncio.all_tasks()), 0
        while sent < MESSAGES:
            url = f"ws://127.0.0.1:{served.port}/v1/responses"
            async with connect(url, compression=None) as socket:
                client = Client(socket)
                try:
                    while sent < MESSAGES:
                        for _ in range(ROUND):
                            said = sentences.next()
                            await socket.send(said, text=True)
                            sent += 1
                        await answers(client, f"resp_probe{sent}", sentences.ids.append)
                        sentences.ids = sentences.ids[-50:]
                except ConnectionClosed as gone:
                    closed.append(gone.rcvd.code if gone.rcvd is not None else 1006)
        assert set(closed) <= CLOSES
        assert len(closed) < sent / 10
        await served.idle()
        await alone(served)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert served.app[RUNS].running == 0


async def alone(served: Served) -> None:
    """Wait until nobody is connected."""
    await until(lambda: not served.app[SOCKETS])
