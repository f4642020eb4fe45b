"""What a client's script says of each thing it tried: one line of JSON."""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

URL = os.environ["FRONTRUNNER_URL"]
BASE = f"{URL}/v1"
QUESTION = "What is six times seven?"
WEATHER = "What is the weather in Paris?"
WEATHER_TWICE = "What is the weather in Paris and in Rome?"
JSON = "Who is Ada, and how old? Reply in JSON."


def check(name: str, run: Callable[[], Any]) -> None:
    """Try something: it must return something true."""
    try:
        got = run()
        print(json.dumps({"check": name, "ok": bool(got), "got": repr(got)[:300]}), flush=True)
    except BaseException as error:
        told = "".join(traceback.format_exception_only(error))[-500:]
        print(json.dumps({"check": name, "ok": False, "got": told}), flush=True)
