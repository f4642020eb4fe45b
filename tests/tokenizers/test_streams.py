"""What clients are sent piece by piece: whole characters, and together all of the text."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import orjson
import pytest
from tests.runtime.serving.conftest import Served, served

from frontrunner._virtual_time import VirtualLoop
from frontrunner.runtime.engines.protocol import Generation

from .texts import LINES
from .tokenized_engine import BROKEN, TokenizedEngine, encode

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")

THOUGHT, *SAID = LINES
SAID = [line for line in SAID if "tool_call" not in line]
END = "So the answer is \\boxed{8}."
RACE = {"frontrunner": {"branches": 2, "deadline": 30}}
MESSAGES = [{"role": "user", "content": "How many? 🍎"}]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Real sockets, and a clock that stands still while vLLM is imported."""
    return "asyncio", {"loop_factory": VirtualLoop}


def writing(tokenizer: Any, text: str) -> TokenizedEngine:
    ids = encode(tokenizer, text)

    def write(request: Generation) -> Sequence[int]:
        return ids

    return TokenizedEngine(tokenizer, write)


def shown(tokenizer: Any, text: str) -> str:
    """A text as it comes back from the model: without special tokens."""
    return tokenizer.decode(encode(tokenizer, text), skip_special_tokens=True)


async def sent(served: Served, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of all events of a stream."""
    body = {"model": "scripted", "stream": True, **RACE, **body}
    async with served.http.post(f"/v1/{path}", json=body) as response:
        text = (await response.read()).decode()
    assert response.status == 200, text
    assert BROKEN not in text
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [orjson.loads(each) for each in data if each != "[DONE]"]


async def test_a_chat(tokenizer: Any) -> None:
    text = "".join(SAID) + END
    async with served(engine=writing(tokenizer, THOUGHT + text), content="reply") as server:
        chunks = await sent(server, "chat/completions", {"messages": MESSAGES})
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
        content = "".join(delta.get("content") or "" for delta in deltas)
        assert content == shown(tokenizer, text)


async def test_a_response(tokenizer: Any) -> None:
    text = "".join(SAID) + END
    async with served(engine=writing(tokenizer, THOUGHT + text), content="reply") as server:
        events = await sent(server, "responses", {"input": MESSAGES})
        deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
        assert "".join(deltas) == shown(tokenizer, text)
        assert events[-1]["type"] == "response.completed"


async def test_a_completion_cut_anywhere(tokenizer: Any) -> None:
    text = "".join(SAID)
    whole, limits = shown(tokenizer, text), range(1, 200, 13)
    async with served(engine=writing(tokenizer, text)) as server:
        for limit in limits:
            body = {"prompt": "Once, 昔", "max_tokens": limit}
            chunks = await sent(server, "completions", body)
            told = "".join(chunk["choices"][0]["text"] for chunk in chunks if chunk["choices"])
            assert whole.startswith(told)
