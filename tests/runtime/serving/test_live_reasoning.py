"""What is told as reasoning: a thinking, and the text of the branch in front."""

from collections.abc import Sequence
from typing import Any

import pytest

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.serving.replies.content import ReplyForm
from frontrunner.runtime.serving.replies.live_reasoning import LiveReasoning
from frontrunner.runtime.serving.runs.leader_stream import SEPARATOR, Reasoning

from .conftest import Serve

THOUGHT = "<think>six sevens</think>"
REPLY = "It is 42: \\boxed{42}"


def writes(*texts: str) -> BranchScript:
    return BranchScript(tuple(Piece(0.005, text) for text in texts))


THINKS = writes("<think>six", " sevens</thi", "nk>", "It is 42: ", "\\boxed{42}")
#: The content is the whole reply.
WHOLE = {"content": "reply"}
PLAIN = writes("It is 42: ", "\\boxed{42}")


@pytest.mark.parametrize(
    ("form", "pieces", "told"),
    [
        pytest.param(
            ReplyForm(), ["<think>a", "b</think>", "c"], "<think>ab</think>", id="thought"
        ),
        pytest.param(ReplyForm(), ["ab</th", "ink>c", "d"], "ab</think>", id="began-in-the-prompt"),
        pytest.param(ReplyForm(), ["a", "b"], "ab", id="no-mark"),
        pytest.param(
            ReplyForm(),
            ["<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>fin", "al<|", "b"],
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final",
            id="harmony",
        ),
        pytest.param(
            ReplyForm(),
            ["a</think>b", "c", f"{SEPARATOR}d</think>e", "f"],
            f"a</think>{SEPARATOR}d</think>",
            id="another-branch",
        ),
        pytest.param(ReplyForm("answer"), ["a</think>", "b"], "a</think>b", id="answer-alone"),
        pytest.param(ReplyForm(raw=True), ["a</think>", "b"], "a</think>b", id="raw"),
        pytest.param(ReplyForm(stream_leader=False), ["a</think>", "b"], "", id="no-leader"),
    ],
)
def test_what_is_told_while_a_race_runs(form: ReplyForm, pieces: Sequence[str], told: str) -> None:
    live = LiveReasoning(form)
    assert "".join(live.told(Reasoning(piece, 0)) for piece in pieces) == told


async def streamed(serve: Serve, script: BranchScript, **race: Any) -> tuple[str, str]:
    """Reasoning and content of a chat's stream."""
    async with serve(script) as served:
        stream = await served.openai.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": "6 times 7?"}],
            stream=True,
            extra_body={"frontrunner": {"branches": 1, "deadline": 60, **race}},
        )
        deltas = [chunk.choices[0].delta async for chunk in stream if chunk.choices]
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    return thought, "".join(delta.content or "" for delta in deltas)


@pytest.mark.parametrize(
    ("script", "race", "reasoning", "content"),
    [
        pytest.param(THINKS, WHOLE, THOUGHT, REPLY, id="thinking"),
        pytest.param(THINKS, {**WHOLE, "stream_leader": False}, "", REPLY, id="thinking-no-leader"),
        pytest.param(THINKS, {"answers": "boxed"}, THOUGHT + REPLY, "42", id="thinking-answer"),
        pytest.param(PLAIN, WHOLE, REPLY, REPLY, id="plain"),
        pytest.param(PLAIN, {**WHOLE, "stream_leader": False}, "", REPLY, id="plain-no-leader"),
    ],
)
async def test_a_stream_tells_a_reply_twice_only_as_a_draft(
    serve: Serve, script: BranchScript, race: dict[str, Any], reasoning: str, content: str
) -> None:
    assert await streamed(serve, script, **race) == (reasoning, content)


@pytest.mark.parametrize(
    ("script", "race", "reasoning", "content"),
    [
        pytest.param(THINKS, WHOLE, THOUGHT, REPLY, id="thinking"),
        pytest.param(PLAIN, WHOLE, None, REPLY, id="plain"),
        pytest.param(PLAIN, {"answers": "boxed"}, REPLY, "42", id="answer-alone"),
    ],
)
async def test_a_whole_reply_tells_it_once(
    serve: Serve, script: BranchScript, race: dict[str, Any], reasoning: str | None, content: str
) -> None:
    async with serve(script) as served:
        reply: Any = await served.openai.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": "6 times 7?"}],
            extra_body={"frontrunner": {"branches": 1, "deadline": 60, **race}},
        )
    message = reply.choices[0].message
    assert (message.reasoning_content, message.content) == (reasoning, content)
