"""How a text is taken apart into what was thought and what was said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.thinking import Position, ThinkingFormat, ThinkingReader

TAGS = ThinkingFormat()
CHANNELS = ThinkingFormat("", "<|end|>", "", channels=True)
ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
START = "<|start|>assistant"
MARKS = [
    "<think>", "</think>", "<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|return|>",
]  # fmt: skip
#: Marks, pieces of them, and what stands between.
PIECES = st.sampled_from(
    [*MARKS, "analysis", "final", "commentary to=functions.f", "assistant", "a", "\n", '"', "<",
     "</", "</thi", "<|", "<|en", " ", "é"]
)  # fmt: skip
FORMS = st.sampled_from(
    [form.at(position) for form in (TAGS, CHANNELS) for position in
     ("before", "inside", "after", "unknown")]
)  # fmt: skip


@pytest.mark.parametrize(
    ("position", "text", "reasoning", "content"),
    [
        ("before", "<think>a</think>b", "a", "b"),
        ("before", "b", "", "b"),
        ("before", "a</think>b", "a", "b"),
        ("before", "<think>a", "a", ""),
        ("before", "<think>a</thi", "a", ""),
        ("before", "<thi", "", ""),
        ("before", "x <", "", "x <"),
        ("before", "<think>a < b</think>c < d", "a < b", "c < d"),
        ("before", "<think>a</think>b<think>c</think>d", "ac", "bd"),
        ("before", "<think>a</think>b</think>c", "ab", "c"),
        ("before", 'b "<think>" c', "", 'b "<think>" c'),
        ("inside", "a</think>b", "a", "b"),
        ("inside", "<think>a</think>b", "a", "b"),
        ("inside", "a", "a", ""),
        ("after", "b", "", "b"),
        ("after", "<think>a</think>b", "a", "b"),
        ("unknown", "a</think>b", "a", "b"),
        ("unknown", "b", "", "b"),
    ],
)
def test_between_marks(position: Position, text: str, reasoning: str, content: str) -> None:
    said = TAGS.at(position).read(text)
    assert (said.reasoning, said.content) == (reasoning, content)


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        (f"{ANALYSIS}a<|end|>{START}{FINAL}b<|return|>", "a", "b"),
        (f"{ANALYSIS}a<|end|>{START}{ANALYSIS}b<|end|>{START}{FINAL}c", "ab", "c"),
        (f"{ANALYSIS}a", "a", ""),
        (f"{ANALYSIS}a<|end|>{START}<|channel|>fin", "a", ""),
        (f"{FINAL}b<|return|>", "", "b"),
        ("<|channel|>final <|constrain|>json<|message|>{}<|return|>", "", "{}"),
        (f"{ANALYSIS}a<|end|>{START}<|channel|>commentary<|message|>b<|end|>", "ab", ""),
        (f"{ANALYSIS}a<|end|>{START}<|channel|>commentary to=functions.f<|message|>{{}}<|call|>",
         "a", ""),
        ("<|channel|>analysis to=functions.f<|message|>{}<|call|>", "", ""),
        ("<|channel|>analysis to=python code<|message|>1<|call|>", "1", ""),
        ("<|channel|>commentary to=browser.open<|message|>{}<|call|>", "", ""),
        ("b", "", "b"),
    ],
)  # fmt: skip
def test_on_channels(text: str, reasoning: str, content: str) -> None:
    said = CHANNELS.read(text)
    assert (said.reasoning, said.content) == (reasoning, content)


def test_tokens_that_end_a_turn_are_no_content() -> None:
    form = ThinkingFormat("[THINK]", "[/THINK]", "[/THINK]", turn_ends=("</s>",))
    said = form.read("[THINK]a[/THINK]b</s>")
    assert (said.reasoning, said.content) == ("a", "b")


def test_white_space_alone_begins_no_header() -> None:
    form = ThinkingFormat(start="", end="<|end|>", closing="", channels=True)
    reader = ThinkingReader(form)
    parts = [part for piece in ("\n", "It is 42.") for part in reader.feed(piece)]
    assert "".join(part.text for part in [*parts, *reader.finish()]) == "\nIt is 42."


@given(form=FORMS, pieces=st.lists(PIECES, max_size=20))
def test_in_pieces_a_text_says_the_same(form: ThinkingFormat, pieces: list[str]) -> None:
    reader = ThinkingReader(form)
    parts = [part for piece in pieces for part in reader.feed(piece)] + [*reader.finish()]
    whole = form.read("".join(pieces))
    assert "".join(part.text for part in parts) == whole.plain
    assert len(whole.reasoning) + len(whole.content) <= len(whole.plain)


@given(form=FORMS, pieces=st.lists(PIECES, max_size=20))
def test_no_text_is_made_up(form: ThinkingFormat, pieces: list[str]) -> None:
    text = "".join(pieces)
    said = form.read(text)
    left = iter(text)
    assert all(character in left for character in said.plain)  # in its order


@given(
    form=FORMS.filter(lambda form: form.position != "after"),
    thought=st.text("ab<> \n", max_size=8),
    reply=st.text("cd \n", max_size=8),
    place=st.integers(0, 200),
)
def test_a_completed_text_goes_on_with_content(
    form: ThinkingFormat, thought: str, reply: str, place: int
) -> None:
    opening = ANALYSIS if form.channels else form.start
    end = f"<|end|>{START}{FINAL}" if form.channels else form.end
    begun = "" if form.position in ("inside", "unknown") else opening
    if form.position == "unknown" and form.channels:
        begun = opening
    whole = begun + thought + end + reply
    text = whole[: min(place, len(whole))]
    completed = text + form.completion(text)
    said = form.read(completed + "EEE")
    assert said.content.endswith("EEE")
    assert not any(mark in said.content for mark in MARKS)
    assert not set("ab") & set(said.content)
    assert completed.count(FINAL if form.channels else form.end) == 1


def test_a_long_text_takes_linear_time() -> None:
    for text in ("<" * 200_000, "<think></think>" * 20_000, "</thin" * 30_000, '"\n' * 100_000):
        for form in (TAGS, CHANNELS):
            form.read(text)
            form.completion(text)
