"""The websocket, by the websockets package."""

import json

from checking import URL, check
from websockets.sync.client import connect


def ask(socket, **body):
    socket.send(json.dumps({"type": "response.create", **body}))
    while True:
        event = json.loads(socket.recv(timeout=30))
        if event["type"] in ("response.completed", "response.failed", "error"):
            return event


def turns():
    with connect(f"{URL.replace('http', 'ws')}/v1/responses") as socket:
        first = ask(socket, input="My name is Ada")
        second = ask(socket, input="What is my name?", previous_response_id=first["response"]["id"])
        return "Ada" in second["response"]["output"][-1]["content"][0]["text"]


check("websocket", lambda: turns())
