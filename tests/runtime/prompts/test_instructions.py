"""What the model is told about the form of its answer: by kind, unless it is told already, and
where its chat template shows it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers import make_extractor
from frontrunner.runtime.config import AnswerSettings, PromptSettings
from frontrunner.runtime.config.prompting import Placement
from frontrunner.runtime.engines.protocol import ChatSupport
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.prompts.instructions import (
    ASKED,
    CONDITIONAL,
    INSTRUCTIONS,
    AnswerForm,
    Instruction,
    fitted,
    instruction_for,
    with_instruction,
)
from frontrunner.runtime.prompts.tool_choice import tool_use

AUTO = PromptSettings()
SHOWS, HIDES = ChatSupport(), ChatSupport(system=False)
HIDES_LATER = ChatSupport(late_system=False)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
}
TOOLS: Any = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
Turn = dict[str, str]


def user(text: str) -> Turn:
    return {"role": "user", "content": text}


def system(text: str) -> Turn:
    return {"role": "system", "content": text}


def told(kind: str, *messages: Turn, asked: str | None = None, **form: Any) -> str | None:
    """What is added to a conversation."""
    added = instruction_for(AUTO, asked, AnswerForm(kind, **form), "boxed")
    return None if added is None or not added.needed(messages) else added.text


# ── by kind ───────────────────────────────────────────────────────────────────────────────────

#: How a model that does as it is told ends.
OBEDIENT = {
    "boxed": (r"so \boxed{8}.", "8"),
    "last_number": ("3 + 5 = 8.\nThe answer is 8", "8"),
    "multiple_choice": ("so B fits.\nThe answer is B", "B"),
    "code": ("```\nprint(8)\n```", "print(8)"),
}


@pytest.mark.parametrize("kind", OBEDIENT)
def test_what_is_asked_for_is_what_is_looked_for(kind: str) -> None:
    text, answer = OBEDIENT[kind]
    found = make_extractor(AnswerSettings(kind=kind)).find(text)
    assert found is not None
    assert found.strip() == answer
    for texts in (INSTRUCTIONS, CONDITIONAL):
        marker = {"boxed": "\\boxed{}", "code": "```"}.get(kind, '"The answer is"')
        assert marker in texts[kind]


@pytest.mark.parametrize("kind", ["text", "tool_call", "somebodys.own:kind"])
def test_other_kinds_ask_for_nothing(kind: str) -> None:
    assert told(kind, user("What is 3 + 5?")) is None


def test_json_is_asked_for_by_its_schema() -> None:
    said = told("json", user("Who?"), schema=SCHEMA)
    assert said is not None
    assert '"age":{"type":"integer"}' in said
    assert told("json", user("Who?"), schema={"type": "object"}) == (
        "Answer with JSON: an object, and nothing after it."
    )
    assert told("json", user("Who?")) == "Answer with JSON: a value, and nothing after it."


def test_a_field_is_named_by_a_word_of_its_own() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    assert told("json", user("What is the average of this JSON?"), schema=schema) is not None
    assert told("json", user("Answer in JSON with the field age."), schema=schema) is None


def test_where_a_reply_may_have_no_answer_it_is_asked_for_conditionally() -> None:
    assert told("boxed", user("Hello!"), optional=True) == CONDITIONAL["boxed"]
    assert all(text.startswith("If ") for text in CONDITIONAL.values())
    assert CONDITIONAL.keys() == INSTRUCTIONS.keys()


def test_tools_that_may_be_called_need_no_form_and_a_demanded_call_is_told() -> None:
    assert told("boxed", user("?"), use=tool_use(TOOLS)) is None
    assert told("boxed", user("?"), use=tool_use(TOOLS, "none")) == INSTRUCTIONS["boxed"]
    required = tool_use(TOOLS, "required")
    assert told("tool_call", user("?"), use=required) == "Answer with a call of the tool add."
    assert told("tool_call", user("?"), use=tool_use(TOOLS)) == told(
        "tool_call", user("?"), use=required
    )


# ── what is asked for already ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("boxed", r"Put the result into \boxed{}."),
        ("boxed", "End with #### and the number."),
        ("boxed", "State the final answer in the last line."),
        ("last_number", "Say: The answer is N."),
        ("multiple_choice", "Reply with a single letter."),
        ("json", "as JSON, please"),
        ("code", "in a code block, please"),
    ],
)
def test_who_asks_for_a_form_is_left_alone(kind: str, question: str) -> None:
    assert told(kind, user(question)) is None
    assert told(kind, system(question), user("What is 3 + 5?")) is None
    # What an assistant once wrote asks for nothing.
    turns = user("?"), {"role": "assistant", "content": question}, user("and 3 + 5?")
    assert told(kind, *turns) is not None


def test_who_only_says_json_has_not_told_the_schema() -> None:
    assert told("json", user("JSON, please"), schema=SCHEMA) is not None
    assert told("json", user("JSON with name and age, please"), schema=SCHEMA) is None


def test_ordinary_questions_ask_for_no_form() -> None:
    questions = ("What is 3 + 5?", "Which answer fits best?", "Box 3 holds 5 apples. How many?")
    for kind in ASKED:
        assert all(told(kind, user(question)) for question in questions), kind


# ── settings and races that say otherwise ─────────────────────────────────────────────────────


def test_the_settings_text_is_for_their_kind_and_stands_once() -> None:
    own = PromptSettings(instruction="Think in French.")
    added = instruction_for(own, None, AnswerForm("boxed"), "boxed")
    assert added is not None
    assert added == Instruction("Think in French.", "boxed", own=True)
    assert added.needed([user(r"\boxed{} please")])
    assert not added.needed([system("Think in French."), user("?")])
    other = instruction_for(own, None, AnswerForm("code"), "boxed")
    assert other is not None
    assert other.text == INSTRUCTIONS["code"]


def test_a_race_says_otherwise() -> None:
    silent = PromptSettings(instruction="")
    assert instruction_for(silent, None, AnswerForm("boxed"), "boxed") is None
    added = instruction_for(silent, "auto", AnswerForm("boxed"), "boxed")
    assert added is not None
    assert added.text == INSTRUCTIONS["boxed"]
    assert told("boxed", user("?"), asked="  ") is None
    assert told("code", user("?"), asked="Be brief.") == "Be brief."


# ── where it stands ───────────────────────────────────────────────────────────────────────────


def test_it_stands_with_the_system_where_that_is_shown() -> None:
    assert with_instruction([user("?")], "do", "auto", SHOWS) == [system("do"), user("?")]
    merged = with_instruction([system("Be brief."), user("?")], "do", "system", SHOWS)
    assert merged == [system("Be brief.\n\ndo"), user("?")]
    assert with_instruction([system(""), user("?")], "do", "auto", SHOWS)[0] == system("do")


def test_it_stands_behind_the_last_question_elsewhere() -> None:
    turns = [user("one"), {"role": "assistant", "content": "1"}, user("two")]
    places: list[tuple[Placement, ChatSupport]] = [
        ("auto", HIDES),
        ("user", SHOWS),
        ("user", HIDES),
    ]
    for placement, chat in places:
        placed = with_instruction(turns, "do", placement, chat)
        assert placed == [*turns[:2], user("two\n\ndo")]
    lone = [{"role": "assistant", "content": "1"}]
    assert with_instruction(lone, "do", "user", HIDES) == lone


def test_a_system_message_that_would_not_be_shown_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"prompt\.placement.*user"):
        with_instruction([user("?")], "do", "system", HIDES)


def test_what_the_system_says_is_not_lost_where_it_is_not_shown() -> None:
    turns = [system("Be brief."), user("one"), {"role": "assistant", "content": "1"}]
    assert fitted([*turns, user("two")], SHOWS) == [*turns, user("two")]
    assert fitted([*turns, user("two")], HIDES) == [
        user("Be brief.\n\none"),
        turns[2],
        user("two"),
    ]
    assert fitted([user("one"), system("Be brief.")], HIDES) == [user("one\n\nBe brief.")]
    assert fitted([system("Be brief.")], HIDES) == [user("Be brief.")]


def test_what_the_system_says_later_is_not_lost_where_only_its_first_message_is_shown() -> None:
    reply: Turn = {"role": "assistant", "content": "1"}
    turns = [system("Be brief."), user("one"), reply, system("In French."), user("two")]
    assert fitted(turns, SHOWS) == turns
    assert fitted(turns, HIDES_LATER) == [*turns[:3], user("In French.\n\ntwo")]
    assert fitted(turns[1:], HIDES_LATER) == [*turns[1:3], user("In French.\n\ntwo")]
    assert fitted(turns[:4], HIDES_LATER) == [turns[0], user("one\n\nIn French."), reply]
    two = [system("Be brief."), system("In French."), user("one")]
    assert fitted(two, HIDES_LATER) == [system("Be brief.\n\nIn French."), user("one")]
    assert fitted(turns[:3], HIDES_LATER) == turns[:3]


ROLES = st.sampled_from(["system", "user", "assistant"])
TEXTS = st.text("abc", min_size=1, max_size=5)
TURNS = st.lists(st.builds(lambda r, t: {"role": r, "content": t}, ROLES, TEXTS), min_size=1)


@given(TURNS, st.sampled_from([HIDES, HIDES_LATER]))
def test_nothing_that_was_said_is_lost_or_reordered_among_users_and_assistants(
    turns: list[Turn], chat: ChatSupport
) -> None:
    fitting = fitted(turns, chat)
    first = chat.system and turns[0]["role"] == "system"
    assert (fitting[0]["role"] == "system") == first
    assert all(turn["role"] != "system" for turn in fitting[first:])
    said = sorted(turn["content"] for turn in turns)
    assert sorted("\n\n".join(turn["content"] for turn in fitting).split("\n\n")) == said
    roles = [turn["role"] for turn in turns if turn["role"] != "system"]
    assert [turn["role"] for turn in fitting[first:]][: len(roles)] == roles
