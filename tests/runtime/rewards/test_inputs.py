import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.rewards.inputs import (
    Template,
    aggregate,
    conversation,
    question_text,
    split_steps,
)

ASKED = [{"role": "user", "content": "2 + 2?"}]
TURNS = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "2 + 2?"},
]
PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_a_single_question_is_its_content_and_a_conversation_names_who_speaks() -> None:
    assert question_text(ASKED) == "2 + 2?"
    assert question_text(TURNS).splitlines()[0] == "system: be brief"
    assert question_text(TURNS).endswith("user: 2 + 2?")


def test_the_reward_models_system_message_takes_the_place_of_the_conversations() -> None:
    assert conversation(TURNS, None) == TURNS
    turns = conversation(TURNS, "judge it")
    assert turns[0] == {"role": "system", "content": "judge it"}
    assert turns[1:] == TURNS[1:]


def test_a_template_is_filled_once_whatever_stands_in_the_question_and_the_text() -> None:
    template = Template.parse("Q: {question}\nA: {text}\nIs {question} answered?")
    asked = [{"role": "user", "content": "{text} {question}"}]
    assert template.fill(asked, "{question}") == (
        "Q: {text} {question}\nA: {question}\nIs {text} {question} answered?"
    )


@pytest.mark.parametrize("template", ["{question}", "{text} {text}", ""])
def test_a_template_needs_one_place_for_the_text(template: str) -> None:
    with pytest.raises(ValueError, match="text"):
        Template.parse(template)


def test_a_marker_takes_the_delimiters_place_and_follows_the_last_step() -> None:
    assert split_steps("a\n\nb\n\n\n\nc", "\n\n", "<extra_0>") == [
        "a<extra_0>",
        "b<extra_0>",
        "c<extra_0>",
    ]
    assert split_steps("a\n\nb\n\n", "\n\n", "<extra_0>") == ["a<extra_0>", "b<extra_0>"]


def test_a_marker_that_the_branch_wrote_is_taken_out() -> None:
    assert split_steps("a<m><m>b\nc", "\n", "<m>") == ["ab<m>", "c<m>"]


def test_without_a_marker_steps_keep_their_delimiter() -> None:
    assert split_steps("a\nb\nc", "\n", None) == ["a\n", "b\n", "c"]
    assert split_steps("a\n\n \nb\n", "\n", None) == ["a\n", "b\n"]
    assert split_steps(" \n ", "\n", None) == []


@given(st.text(alphabet="ab \n", max_size=40))
def test_steps_hold_all_that_the_text_says(text: str) -> None:
    steps = split_steps(text, "\n", None)
    assert "".join("".join(steps).split()) == "".join(text.split())
    marked = split_steps(text, "\n", "|")
    assert len(marked) == len(steps)
    assert all(step.endswith("|") and step.count("|") == 1 for step in marked)


def test_no_step_has_no_score() -> None:
    assert aggregate([], "last") is None
    assert aggregate([], "prod") is None


@given(PROBABILITIES)
def test_aggregations_are_what_they_say(scores: list[float]) -> None:
    assert aggregate(scores, "last") == scores[-1]
    assert aggregate(scores, "min") == min(scores)
    assert math.isclose(aggregate(scores, "mean") or 0.0, sum(scores) / len(scores), abs_tol=1e-9)
    product, least = aggregate(scores, "prod"), aggregate(scores, "min")
    assert product is not None
    assert least is not None
    assert 0.0 <= product <= least


@given(PROBABILITIES, st.floats(0, 1))
def test_a_further_step_never_raises_the_least_or_the_product(
    scores: list[float], further: float
) -> None:
    for how in ("min", "prod"):
        before, after = aggregate(scores, how), aggregate([*scores, further], how)
        assert before is not None
        assert after is not None
        assert after <= before
