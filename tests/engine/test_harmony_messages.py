"""What vLLM's parser of harmony takes a message for, by its channel and recipient, and we."""

from typing import Final

import pytest

from frontrunner.runtime.answers.extraction.tool_calls import announces_call
from frontrunner.runtime.thinking import ThinkingFormat, ThinkingReader, without_thinking

harmony = pytest.importorskip("vllm.parser.harmony")

CHANNELS: Final = ThinkingFormat("", "<|end|>", "", channels=True)
RECIPIENTS: Final = (None, "functions.f", "f", "a.b", "python", "browser.open", "assistant")
BODY: Final = '{"x": 1}'


def _message(channel: str, recipient: str | None, first: bool) -> str:
    to = f" to={recipient}" if recipient else ""
    header = f"{to}<|channel|>{channel}" if first else f"<|channel|>{channel}{to}"
    return f"<|start|>assistant{header} <|constrain|>json<|message|>{BODY}<|call|>"


@pytest.mark.parametrize("channel", ["analysis", "commentary", "final"])
@pytest.mark.parametrize("recipient", RECIPIENTS)
@pytest.mark.parametrize("first", [True, False], ids=["recipient first", "channel first"])
def test_a_call_is_one_on_any_channel(channel: str, recipient: str | None, first: bool) -> None:
    text = _message(channel, recipient, first)
    taken = harmony._SegmentType.from_channel_and_recipient(channel, recipient).name
    reader = ThinkingReader(CHANNELS)
    kinds = {part.kind for part in (*reader.feed(text), *reader.finish())}
    assert ("call" in kinds) == (taken == "TOOL" or (taken == "IGNORE" and channel == "commentary"))
    assert (BODY not in without_thinking(text)) == (taken == "REASONING")
    assert announces_call(without_thinking(text)) == (taken == "TOOL")
