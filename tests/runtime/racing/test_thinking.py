"""Races of models that think: wherever a branch is cut, what continues it is exact, its thinking is
closed first, and nothing of that is taken for an answer."""

from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends import run_virtual
from tests.runtime.token_engine import HARMONY, THINK, TokenEngine, Vocabulary

from frontrunner.runtime.config import Settings
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus

SUFFIX = "\n\nThe answer is \\boxed{"
THINKING: dict[str, Any] = {"start": "<think>", "end": "</think>"}
CHANNELS: dict[str, Any] = {"channels": True, "special_tokens": True}
#: A box and marks of quotes in the thinking, characters of several bytes everywhere.
THOUGHT = '\n6 × 7, or "6 < 7"? \\boxed{13}, hm… Ω.\n'
REPLY = "\n\nÉs 42: \\boxed{42} ✓"
#: One that has not answered yet, wherever it is cut.
BEGUN = "\n\nÉs 42: ✓ \\boxed{42"
CLOSED = "\n</think>\n\n"
ANALYSIS, END = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant"
FINAL = "<|channel|>final<|message|>"
WHOLE = f"{ANALYSIS}{THOUGHT}{END}{FINAL}{REPLY}<|return|>"


async def race(engine: TokenEngine, thinking: dict[str, Any], **options: Any) -> Result:
    settings = Settings.from_dict(
        {
            "answers": {"workers": 0},
            "forcing": {"suffix": SUFFIX, "max_tokens": 16},
            "prompt": {"instruction": ""},
            "thinking": thinking,
        }
    )
    asked = {"deadline": 1000.0, "branches": 1, **options}
    async with Runtime(engine, settings) as runtime:
        return await runtime.solve("6 × 7?", **asked)


def cut(engine: TokenEngine, thinking: dict[str, Any], written: Sequence[int]) -> Result:
    """The result of a race whose branch was cut after these tokens, of which it is seen that they
    were continued exactly."""
    result = run_virtual(partial(race, engine, thinking))
    (first, second), (branch,) = engine.requests, result.branches
    assert branch.status is BranchStatus.FORCED
    assert branch.forced_at is not None
    vocabulary = engine.vocabulary
    suffix = branch.text[branch.forced_at :].removesuffix("42}")
    assert suffix.endswith(SUFFIX.lstrip())
    assert second.prompt == (*first.prompt, *written, *vocabulary.encode(suffix))
    assert result.forced_votes == {"42": 1}
    return result


def content_of(result: Result) -> str:
    assert result.thinking is not None
    content = result.thinking.read(result.text).content
    assert not any(mark in content for mark in (*THINK, *HARMONY))
    assert "13" not in content
    assert "hm" not in content
    return content


def tokens_of(vocabulary: Vocabulary, text: str, sizes: Sequence[int]) -> list[int]:
    """The tokens of a text whose marks are whole, and whose other bytes are taken ``sizes`` at a
    time, across the ends of characters."""
    ids: list[int] = []
    whole = range(256)
    run: list[int] = []
    turn = cycle(sizes)
    for number in (*vocabulary.encode(text), -1):
        if number in whole:
            run.append(number)
            continue
        while run:
            size = next(turn)
            ids.append(vocabulary.token(bytes(run[:size])))
            del run[:size]
        ids += [number] if number >= 0 else []
    return ids


SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=6)


@pytest.mark.parametrize("opened", [False, True], ids=["written", "in-the-prompt"])
@given(sizes=SIZES, place=st.floats(0, 1))
def test_a_thinking_is_closed_wherever_it_is_cut(
    opened: bool, sizes: list[int], place: float
) -> None:
    vocabulary = Vocabulary(THINK)
    turn = "<assistant><think>" if opened else "<assistant>"
    whole = THOUGHT + "</think>" + BEGUN if opened else f"<think>{THOUGHT}</think>{BEGUN}"
    ids = tokens_of(vocabulary, whole, sizes)
    written = ids[: int(place * len(ids))]
    engine = TokenEngine(vocabulary, [written], turn=turn)
    content = content_of(cut(engine, THINKING, written))
    before = "<think>" * opened + vocabulary.decode(written)
    closed = vocabulary.decode(engine.requests[1].prompt).removesuffix(SUFFIX.lstrip())
    assert closed.count("</think>") == 1
    if "</think>" in before:
        assert content.startswith("\n\n")
        assert content.strip("\n").endswith(SUFFIX.strip() + "42}")
    else:  # the reply begins with what it is asked for
        assert closed.endswith("</think>\n\n")
        assert content == "\n\n" + SUFFIX.lstrip() + "42}"


@given(place=st.integers(0, len(f"<think>{THOUGHT}</think>{BEGUN}")), sizes=SIZES)
def test_a_mark_that_is_spelled_is_completed(place: int, sizes: list[int]) -> None:
    vocabulary = Vocabulary(())  # whose marks are no tokens of their own
    text = f"<think>{THOUGHT}</think>{BEGUN}"[:place]
    written = tokens_of(vocabulary, text, sizes)
    engine = TokenEngine(vocabulary, [written])
    result = cut(engine, THINKING, written)
    content_of(result)
    assert result.text.count("<think>") == result.text.count("</think>") == 1


@given(sizes=SIZES, place=st.floats(0, 1))
def test_a_message_on_a_channel_is_closed_wherever_it_is_cut(
    sizes: list[int], place: float
) -> None:
    vocabulary = Vocabulary(HARMONY, hidden=True)
    ids = tokens_of(vocabulary, f"{ANALYSIS}{THOUGHT}{END}{FINAL}{BEGUN}", sizes)
    written = ids[: int(place * len(ids))]
    engine = TokenEngine(vocabulary, [written], turn="<|start|>assistant")
    result = cut(engine, CHANNELS, written)
    content = content_of(result)
    assert content.endswith(SUFFIX.lstrip() + "42}")
    assert result.text.count(FINAL) == 1
    if FINAL not in vocabulary.decode(written):
        assert content == SUFFIX.lstrip() + "42}"


@pytest.mark.parametrize(
    ("written", "closed"),
    [
        pytest.param("", "<think>\n\n</think>\n\n", id="nothing-yet"),
        pytest.param("<think>", CLOSED, id="only-the-mark"),
        pytest.param("<think>so \\boxed{4", CLOSED, id="open-box"),
        pytest.param("<think>so\n", CLOSED[1:], id="line-break-is-there"),
        pytest.param("<think>so</think>", "\n\n", id="nothing-said-yet"),
        pytest.param("<think>so</think>\n", "\n", id="half-of-what-stands-between"),
        pytest.param("<think>so</think>\n\nIt", "", id="reply"),
        pytest.param("It is", "", id="no-thinking"),
    ],
)
def test_how_a_cut_branch_goes_on(written: str, closed: str) -> None:
    vocabulary = Vocabulary(THINK)
    ids = vocabulary.encode(written)
    engine = TokenEngine(vocabulary, [ids])
    result = cut(engine, THINKING, ids)
    asked = SUFFIX if written.endswith(("It", "is")) else SUFFIX.lstrip()
    assert result.text == f"{written}{closed}{asked}42}}"


@pytest.mark.parametrize(
    ("turn", "written", "votes"),
    [
        pytest.param("", f"<think>{THOUGHT}</think>{REPLY}", {"42": 1}, id="reply"),
        pytest.param("<think>\n", f"{THOUGHT}</think>{REPLY}", {"42": 1}, id="in-the-prompt"),
        pytest.param("<think>\n", THOUGHT, {}, id="box-in-a-thinking-alone"),
        pytest.param("<think>\n\n</think>\n\n", REPLY, {"42": 1}, id="told-not-to-think"),
        pytest.param("", REPLY, {"42": 1}, id="did-not-think"),
    ],
)
def test_only_what_is_said_is_a_vote(turn: str, written: str, votes: dict[str, int]) -> None:
    vocabulary = Vocabulary(THINK)
    engine = TokenEngine(vocabulary, [vocabulary.encode(written)], turn=turn, stalls=False)
    result = run_virtual(partial(race, engine, THINKING))
    assert result.votes == votes
    assert [branch.status for branch in result.branches] == [BranchStatus.FINISHED]


def test_a_whole_message_is_a_vote_and_its_end_is_no_content() -> None:
    vocabulary = Vocabulary(HARMONY, hidden=True)
    engine = TokenEngine(vocabulary, [vocabulary.encode(WHOLE)], stalls=False)
    result = run_virtual(partial(race, engine, CHANNELS))
    assert result.votes == {"42": 1}
    assert content_of(result) == REPLY


@pytest.mark.parametrize(
    ("marks", "thinking", "text", "again"),
    [
        pytest.param(
            THINK, THINKING, "<think>so</think>\\boxed{1}", "<think>soWait", id="between-marks"
        ),
        pytest.param(
            HARMONY,
            CHANNELS,
            f"{ANALYSIS}so{END}{FINAL}\\boxed{{1}}<|return|>",
            f"{ANALYSIS}soWait",
            id="on-channels",
        ),
    ],
)
def test_budget_forcing_takes_the_end_of_the_thinking_off(
    marks: Sequence[str], thinking: dict[str, Any], text: str, again: str
) -> None:
    vocabulary = Vocabulary(marks)
    engine = TokenEngine(vocabulary, [vocabulary.encode(text)], stalls=False)
    run_virtual(
        partial(race, engine, thinking, strategy="budget_forcing", parameters={"min_tokens": 1000})
    )
    first, second = engine.requests
    assert vocabulary.decode(second.prompt[len(first.prompt) :]) == again


def test_earlier_reasoning_stands_where_the_template_looks_for_it() -> None:
    vocabulary = Vocabulary(())
    engine = TokenEngine(vocabulary, [vocabulary.encode("\\boxed{42}")], stalls=False)
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello", "reasoning_content": "A greeting."},
        {"role": "user", "content": "6 × 7?"},
    ]

    async def ask() -> None:
        thinking = {**CHANNELS, "history_key": "thinking"}
        settings = Settings.from_dict({"answers": {"workers": 0}, "thinking": thinking})
        async with Runtime(engine, settings) as runtime:
            await runtime.solve(messages, deadline=1000.0, branches=1)

    run_virtual(ask)
    (told,) = [dict(turn) for turn in engine.conversations[-1] if turn["role"] == "assistant"]
    assert (told.get("thinking"), "reasoning_content" in told) == ("A greeting.", False)


def test_each_form_of_the_suffix_is_encoded_once() -> None:
    vocabulary = Vocabulary(THINK)
    asked: list[str] = []

    class Counting(TokenEngine):
        def encode(self, text: str) -> tuple[int, ...]:
            if SUFFIX.strip() in text:
                asked.append(text)
            return super().encode(text)

    engine = Counting(vocabulary, [vocabulary.encode(t) for t in ("<think>a", "<think>b", "c")])

    async def ask() -> None:
        settings = Settings.from_dict(
            {"answers": {"workers": 0}, "forcing": {"suffix": SUFFIX}, "thinking": THINKING}
        )
        async with Runtime(engine, settings) as runtime:
            for _ in range(3):
                await runtime.solve("6 × 7?", deadline=100.0, branches=3)

    run_virtual(ask)
    closing = [text for text in asked if "</think>" in text]
    assert len(closing) == len(set(closing))
