"""What clients read of a model whose way to think is known: its thinking is reasoning, its reply is
content, and no mark is in either."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.backends import virtual_asyncio

from frontrunner.runtime.engines import BranchScript, Piece

from .conftest import Serve

TAGS = {"start": "<think>", "end": "</think>"}
CHANNELS = {"channels": True}
THOUGHT, REPLY = "six sevens, \\boxed{13}?", "It is 42: \\boxed{42}"
ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
MARKS = ("<think>", "</think>", "<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|return|>")
#: The content is the whole reply.
WHOLE = {"content": "reply"}


def writes(text: str, size: int = 5, *, stall: bool = False) -> BranchScript:
    """Writes a text in pieces, which cut marks in the middle."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return BranchScript(tuple(Piece(0.001, piece) for piece in pieces), stall=stall)


WRITTEN = f"<think>{THOUGHT}</think>\n\n{REPLY}"
OPENED = WRITTEN.removeprefix("<think>")
ON_CHANNELS = f"{ANALYSIS}{THOUGHT}<|end|><|start|>assistant{FINAL}{REPLY}<|return|>"
CASES = [
    pytest.param(TAGS, "6 times 7?", WRITTEN, id="between-marks"),
    pytest.param(TAGS, "6 times 7? <think>", OPENED, id="in-the-prompt"),
    pytest.param(CHANNELS, "6 times 7?", ON_CHANNELS, id="on-channels"),
]


def asking(question: str, **race: Any) -> dict[str, Any]:
    return {
        "model": "scripted",
        "messages": [{"role": "user", "content": question}],
        "extra_body": {"frontrunner": {"branches": 1, "deadline": 60, "answers": "boxed", **race}},
    }


def settings(thinking: dict[str, Any]) -> dict[str, Any]:
    return {"thinking": thinking, "prompt": {"instruction": ""}}


async def told_in_chat(
    serve: Serve,
    scripts: Sequence[BranchScript],
    thinking: dict[str, Any],
    question: str,
    *,
    stream: bool,
    **race: Any,
) -> tuple[str, str]:
    """Reasoning and content."""
    async with serve(*scripts, settings=settings(thinking)) as served:
        create: Any = served.openai.chat.completions.create
        if not stream:
            message: Any = (await create(**asking(question, **race))).choices[0].message
            return message.reasoning_content or "", message.content
        chunks = await create(**asking(question, **race), stream=True)
        deltas = [chunk.choices[0].delta async for chunk in chunks if chunk.choices]
    reasoning = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    return reasoning, "".join(delta.content or "" for delta in deltas)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("thinking", "question", "text"), CASES)
async def test_thinking_is_reasoning_and_a_reply_is_content(
    serve: Serve, thinking: dict[str, Any], question: str, text: str, stream: bool
) -> None:
    told = await told_in_chat(serve, [writes(text)], thinking, question, stream=stream, **WHOLE)
    assert told == (THOUGHT, REPLY)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("thinking", "question", "text"), CASES)
async def test_beside_an_answer_alone_all_that_was_written_is_reasoning(
    serve: Serve, thinking: dict[str, Any], question: str, text: str, stream: bool
) -> None:
    reasoning, content = await told_in_chat(
        serve, [writes(text)], thinking, question, stream=stream, content="answer"
    )
    assert content == "42"
    assert reasoning.replace("\n", "") == THOUGHT + REPLY


@virtual_asyncio
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("thinking", "question", "text"), CASES)
async def test_a_branch_that_is_cut_while_it_thinks_replies(
    serve: Serve, thinking: dict[str, Any], question: str, text: str, stream: bool
) -> None:
    cut = text[: text.index("?") + 1]
    reasoning, content = await told_in_chat(
        serve,
        [writes(cut, stall=True)],
        thinking,
        question,
        stream=stream,
        deadline=1.0,
        **WHOLE,
    )
    assert reasoning.strip() == THOUGHT
    assert content.endswith("\\boxed{7}")
    assert "13" not in content
    assert not any(mark in content + reasoning for mark in MARKS)


async def test_a_plain_reply_of_a_model_that_may_think_is_told_once(serve: Serve) -> None:
    told = await told_in_chat(serve, [writes(REPLY)], TAGS, "6 times 7?", stream=True, **WHOLE)
    assert told == ("", REPLY)


async def test_the_next_branch_that_is_told_begins_anew(serve: Serve) -> None:
    lost = BranchScript((Piece(0.001, "<think>one</th"), Piece(0.001, "ink>")), error="lost")
    late = BranchScript(
        (Piece(0.05, "<think>two"), Piece(0.05, "</think>" + REPLY)),
    )
    reasoning, content = await told_in_chat(
        serve, [lost, late], TAGS, "6 times 7?", stream=True, **{**WHOLE, "branches": 2}
    )
    assert (reasoning, content) == ("one\n\n---\n\ntwo", REPLY)


@pytest.mark.parametrize(("thinking", "question", "text"), CASES)
async def test_a_response_has_a_reasoning_item_and_a_message(
    serve: Serve, thinking: dict[str, Any], question: str, text: str
) -> None:
    async with serve(writes(text), settings=settings(thinking)) as served:
        create: Any = served.openai.responses.create
        asked = {
            "model": "scripted",
            "input": question,
            "extra_body": asking(question, **WHOLE)["extra_body"],
        }
        events = [event async for event in await create(**asked, stream=True)]
    said = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    thought = "".join(e.delta for e in events if e.type == "response.reasoning_text.delta")
    assert (thought, said) == (THOUGHT, REPLY)
    items = events[-1].response.output
    assert [item.type for item in items] == ["reasoning", "message"]
    assert items[1].content[0].text == REPLY


async def test_other_choices_are_taken_apart_as_well(serve: Serve) -> None:
    async with serve(writes(WRITTEN), settings=settings(TAGS)) as served:
        create: Any = served.openai.chat.completions.create
        asked = asking("6 times 7?", **{**WHOLE, "branches": 2})
        reply = await create(**asked, n=2)
    for choice in reply.choices:
        assert not any(mark in choice.message.content for mark in MARKS)
        assert "13" not in choice.message.content
