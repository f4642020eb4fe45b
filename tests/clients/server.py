"""The server that clients are tried on: a scripted engine that does what it is asked to.

    python tests/clients/server.py PORT

A conversation that offers tools and asks about the weather is answered by a call of the first tool
for each city, turn by turn, and then by a sentence with the results; one that asks for JSON, by
``{"age": 36, "name": "Ada"}``; "What is my name?" by the name that was told; all others by 42.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from tempfile import NamedTemporaryFile
from typing import Any

import orjson

from frontrunner.runtime.cli import main
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.engines.protocol import Generation, Message
from frontrunner.runtime.runtime import Runtime

_CITIES = re.compile("Paris|Rome|Oslo")
_SILENCE_S = 0.005
_CONFIG = "[race]\nbranches = 4\ndeadline = 20\n[answers]\nworkers = 1\n"
_FORCED = BranchScript((Piece(0.0, "42}", 2),))


def reply_to(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None) -> str:
    told = [str(message.get("content") or "") for message in messages]
    everything = "\n".join(told)
    asked = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=0)
    results = [told[i] for i, m in enumerate(messages) if i > asked and m["role"] == "tool"]
    cities = _CITIES.findall(told[asked]) or ["Paris"]
    if results and len(results) >= len(cities):
        said = " and ".join(results)
        return f"The tool says {said}. So it is \\boxed{{{said}}}"
    if tools and "weather" in told[asked]:
        function = tools[0].get("function", tools[0])
        names = (function.get("parameters") or {}).get("properties") or {"city": {}}
        city = cities[len(results)]
        call = {"name": function["name"], "arguments": dict.fromkeys(names, city)}
        return f"I look it up.\n<tool_call>\n{orjson.dumps(call).decode()}\n</tool_call>"
    if "JSON" in everything or '"properties"' in everything:
        return 'She is 36.\n{"name": "Ada", "age": 36}'
    if "my name" in told[-1]:
        names = [text.rpartition(" ")[2].strip(".") for text in told if "name is" in text]
        return f"You told me. \\boxed{{\\text{{{names[0] if names else 'unknown'}}}}}"
    return "Six times seven is six sevens, which makes 42. So the answer is \\boxed{42}"


class ClientEngine(ScriptedEngine):
    """Answers each conversation by ``reply_to``."""

    def __init__(self) -> None:
        super().__init__(Script((BranchScript(),), (_FORCED,), chooser=self._choose), logprobs=True)
        self._replies: dict[tuple[int, ...], str] = {}

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        said = super().encode_chat(messages, tools, arguments)
        prompt = (*said, len(messages), len(tools or ()))
        self._replies[prompt] = reply_to(messages, tools)
        return prompt

    def _choose(self, request: Generation) -> BranchScript | None:
        if request.forced:
            return None
        text = self._replies.get(request.prompt, "It goes on and on, to 42 \\boxed{42}")
        words = text.split(" ")
        pieces = [Piece(_SILENCE_S, f"{word} ") for word in words[:-1]]
        return BranchScript((*pieces, Piece(_SILENCE_S, words[-1])))


def make_runtime(settings: Settings) -> Runtime:
    return Runtime(ClientEngine(), settings)


if __name__ == "__main__":
    with NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(f"[server]\nport = {int(sys.argv[1])}\n{_CONFIG}")
        config.flush()
        sys.exit(main(["serve", "--config", config.name], make_runtime=make_runtime))
