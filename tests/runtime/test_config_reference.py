"""What is told about the settings is complete, and is what is checked."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from frontrunner.runtime.cli import main
from frontrunner.runtime.config import Settings, reference
from frontrunner.runtime.config.tables import tables

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    f"{table.path}.{name} of {model.__name__}": field
    for table in tables(Settings).values()
    for model in dict.fromkeys(table.sections.values())
    for name, field in model.model_fields.items()
}


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_described_in_whole_sentences(key: str) -> None:
    text = " ".join((KEYS[key].description or "").split())
    assert re.fullmatch(r"[A-Z\"].*[.]", text), text
    assert len(text.split()) >= 4, text
    assert not re.search(r"\bsee above\b|^(Likewise|Of|The same)\b", text), text


def test_there_are_keys_of_all_tables() -> None:
    assert {key.split(" of ")[0].rpartition(".")[0] for key in KEYS} == set(tables(Settings))
    assert len(KEYS) > 111


def test_the_reference_is_a_file_that_changes_nothing() -> None:
    written = reference.as_toml()
    assert Settings.from_dict(tomllib.loads(written)) == Settings()
    for table in tables(Settings).values():
        for key in reference.keys_of(table):
            assert re.search(rf"^(# )?{key.name} = ", written, re.MULTILINE)


def test_a_number_has_a_unit() -> None:
    bare = [
        key.path
        for table in tables(Settings).values()
        for key in reference.keys_of(table)
        if "number" in key.kind and "list" not in key.kind and not key.unit
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("race.deadline", "deadline = 10.0"),
        ("race", "abort_limit = 1.0"),
        ("token_cost", '# token_cost = "auto"'),
        ("engine", "[engine.speculation]"),
        ("lengths", "# [lengths]"),
    ],
)
def test_a_table_or_a_key_is_shown_by_its_name(
    name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert told in lines
    assert "[server]" not in lines


@pytest.mark.parametrize("arguments", [["config", "deadlin"], ["config", "race", "--schema"]])
def test_what_cannot_be_shown_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_schema_takes_what_the_settings_take(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert main(["config", "--schema"]) == 0
    schema = json.loads(capsysbinary.readouterr().out)
    validator = Draft202012Validator(schema)
    for path in (ROOT / "configs").glob("*.toml"):
        validator.validate(tomllib.loads(path.read_text(encoding="utf-8")))
    wrong = (
        {"race": {"deadlin": 1}},
        {"engine": {"kind": "openai"}},
        {"rewards": {"kind": "none", "url": ""}},
    )
    assert not any(validator.is_valid(data) for data in wrong)
    assert schema["$defs"]["RaceSettings"]["properties"]["deadline"]["description"]


def test_a_key_is_described_to_others() -> None:
    assert reference.describe("race.queue").startswith("The number of races that may wait")
    with pytest.raises(KeyError):
        reference.describe("race.deadlin")
