import re

import pytest

from frontrunner.runtime.answers import (
    Extractor,
    extractor_names,
    make_extractor,
    register_extractor,
)
from frontrunner.runtime.answers import registry as registered
from frontrunner.runtime.config import AnswerSettings, Settings
from frontrunner.runtime.errors import ConfigError

BUILT_IN = (
    "boxed",
    "last_number",
    "multiple_choice",
    "json",
    "tool_call",
    "code",
    "outcome",
    "text",
)


@pytest.fixture(autouse=True)
def _no_others_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered.EXTRACTOR_PLUGINS, "registered", {})


def extractor(**settings: object) -> Extractor:
    return make_extractor(Settings.from_dict({"answers": settings}).answers)


def test_what_there_is() -> None:
    assert extractor_names() == BUILT_IN
    for name in BUILT_IN:
        assert isinstance(extractor(kind=name), Extractor)


def test_a_box_is_the_default_and_may_have_a_pattern() -> None:
    assert extractor().find(r"\boxed{1} so \boxed{2}") == "2"
    assert extractor().key is None
    assert extractor(pattern="is ([0-9]+)").find("it is 7") == "7"
    # What is settled is the box alone: a longer match of the pattern may follow.
    assert extractor(pattern="is ([0-9]+)").settled("it is 7") is None


def test_free_text_has_no_vote() -> None:
    assert extractor(kind="text").find(r"\boxed{1} and all the rest") is None


def test_a_schema_makes_other_json_no_vote() -> None:
    schema = {"type": "object", "required": ["a"]}
    found = extractor(kind="json", json_schema=schema)
    assert found.find('{"a": 1}') == '{"a":1}'
    assert found.find('{"b": 1}') is None
    assert found.settled('{"a": 1}') == '{"a":1}'


def test_a_users_own_is_known_to_the_settings() -> None:
    with pytest.raises(ConfigError, match=r"answers\.kind: unknown kind 'colour'; known: boxed"):
        Settings.from_dict({"answers": {"kind": "colour"}})

    def colour(text: str) -> str | None:
        found = re.findall("red|green|RED", text)
        return found[-1] if found else None

    register_extractor("colour", colour, key=str.lower)
    mine = extractor(kind="colour")
    assert mine.find("green, no, RED") == "RED"
    assert mine.settled("RED") is None
    assert mine.key is not None
    assert mine.key("RED") == mine.key("red")
    with pytest.raises(ValueError, match="registered already"):
        register_extractor("colour", colour)
    with pytest.raises(ValueError, match="registered already"):
        register_extractor("boxed", colour)


def test_a_users_own_that_fails_or_finds_nothing_costs_the_vote() -> None:
    def fail(text: str) -> str | None:
        raise RuntimeError(text)

    register_extractor("failing", fail, settled=fail)
    assert extractor(kind="failing").find("x") is None
    assert extractor(kind="failing").settled("x") is None
    register_extractor("empty", lambda text: "")
    assert extractor(kind="empty").find("x") is None


@pytest.mark.parametrize(
    ("answers", "path"),
    [
        ({"kind": "json", "pattern": "x"}, "answers.pattern"),
        ({"kind": "boxed", "json_schema": {}}, "answers.json_schema"),
        ({"json_schema": {}}, "answers.json_schema"),
        ({"kind": "json", "json_schema": {"type": "objekt"}}, "answers.json_schema"),
        ({"kind": "json", "json_schema": []}, "answers.json_schema"),
        ({"kind": 1}, "answers.kind"),
    ],
)
def test_what_cannot_work_is_refused_by_its_path(answers: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_dict({"answers": answers})
    assert caught.value.path == path


def test_settings_given_as_an_object_are_enough() -> None:
    assert make_extractor(AnswerSettings(kind="last_number")).find("12 or 13.") == "13"


def test_a_box_without_braces_is_not_settled_while_it_may_go_on() -> None:
    boxed = make_extractor(AnswerSettings())
    assert boxed.find(r"so \boxed n") == "n"
    assert boxed.settled(r"so \boxed n") is None
    assert boxed.settled(r"so \boxed{n") is None
    assert boxed.settled(r"so \boxed{n}") == "n"


# ── forced answers ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "said", "answer"),
    [
        ("boxed", "8}", "8"),
        ("last_number", "8 apples", "8"),
        ("multiple_choice", "B) 12", "B"),
        ("json", '{"a": 1}\n```', '{"a":1}'),
    ],
)
def test_a_suffix_opens_a_slot_for_its_kind(kind: str, said: str, answer: str) -> None:
    kept = extractor(kind=kind)
    assert kept.suffix is not None
    opening = kept.opening(kept.suffix)
    assert kept.find(opening) is None
    assert kept.find(opening + said) == answer
    assert kept.find(opening + "I do not know") is None


def test_nothing_of_a_suffix_is_taken_for_an_answer() -> None:
    suffix = "Answer with a number from 1 to 10, as in \\boxed{5}: "
    for kind in ("boxed", "last_number"):
        kept = extractor(kind=kind)
        assert kept.find(kept.opening(suffix) + "hm") is None
    boxed = extractor(kind="last_number")
    assert boxed.find(boxed.opening("So it is \\boxed{") + "7} of 9") == "7"


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("boxed", "so \\boxed{7} hm", "7"),
        ("last_number", "so \\boxed{7} and 3 + 5", "7"),
        ("last_number", "he has 3 + 5", None),
        ("multiple_choice", "B is tempting, but", None),
        ("multiple_choice", "\\boxed{C} because", "C"),
        ("json", '{"a": 1}\nwhich', '{"a":1}'),
        ("json", '[{"a": 1}, ', None),
        ("code", "```python\nx = 1\n```\nThis", "x = 1"),
        ("code", "```python\nx = 1", None),
        ("text", "well", None),
    ],
)
def test_what_was_cut_has_answered_only_what_it_completed(
    kind: str, text: str, answer: str | None
) -> None:
    assert extractor(kind=kind).of_unfinished(text) == answer


def test_what_takes_long_to_say_or_cannot_be_compared_has_no_suffix() -> None:
    assert {k for k in BUILT_IN if extractor(kind=k).suffix is None} == {
        "tool_call",
        "code",
        "outcome",
        "text",
    }


def test_an_outcome_is_what_stands_between_the_last_marks() -> None:
    found = extractor(kind="outcome")
    assert found.find("on the way\n\x1erough\x1e\nand on\n\x1e 42 \x1e\n") == "42"
    assert found.of_unfinished("\x1erough\x1e and on") == "rough"
    assert found.find("\x1e \x1e") is None
    assert found.find("nothing") is None
    assert not found.forcible
