import tomllib
from math import inf
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from frontrunner.runtime.common.config_identity import ConfigIdentity
from frontrunner.runtime.config import DEMO_MODEL, Settings
from frontrunner.runtime.errors import ConfigError, FrontrunnerError

ROOT = Path(__file__).resolve().parents[2]

SECTIONS = [
    "engine",
    "engine.speculation",
    "sampling",
    "race",
    "forcing",
    "answers",
    "lengths",
    "log",
]


def nested(path: str, value: object) -> dict[str, Any]:
    """``{"a": {"b": value}}`` for ``a.b``."""
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def refusal(data: dict[str, Any]) -> str:
    """What ``data`` is refused with."""
    with pytest.raises(ConfigError) as caught:
        Settings.from_dict(data)
    assert isinstance(caught.value, FrontrunnerError)
    return str(caught.value)


def test_everything_has_a_default() -> None:
    settings = Settings.from_dict({})
    assert settings == Settings()
    assert settings.engine.model == DEMO_MODEL
    assert settings.race.strategy == "majority"
    assert settings.lengths is None


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_refused_by_its_path(section: str) -> None:
    data = nested(f"{section}.xyzzy", 3)
    if section == "lengths":
        data["lengths"] |= {"median": 10, "p95": 20}
    assert refusal(data) == f"{section}.xyzzy: unknown key"


def test_an_unknown_section_is_refused_by_its_name() -> None:
    assert refusal({"enginee": {}}) == "enginee: unknown key; did you mean engine?"


def test_a_key_outside_of_its_table_is_told_where_it_belongs() -> None:
    assert refusal({"deadline": 5}) == "deadline: unknown key; did you mean race.deadline?"
    assert refusal({"race": {"temperature": 1}}).endswith("did you mean sampling.temperature?")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"race": 3}, "race: a table is expected"),
        ({"race": {"parameters": 3}}, "race.parameters: a table is expected"),
        ({"engine": 3}, "engine: a table is expected"),
        ({"engine": {"speculation": 3}}, "engine.speculation: a table is expected"),
        ({"engine": {"kind": "pool", "members": [3]}}, "engine.members.0: a table is expected"),
        ({"engine": {"kind": "pool", "members": 3}}, "engine.members: a list is expected"),
        (
            {"engine": {"kind": "pool", "members": []}},
            "engine.members: list should have at least 1 item after validation, not 0",
        ),
    ],
)
def test_what_is_no_table_and_no_list_is_told_in_the_words_of_the_file(
    data: dict[str, Any], said: str
) -> None:
    assert refusal(data).startswith(said)


def test_a_file_with_a_mark_of_its_encoding_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[race]\r\ndeadline = 5\r\n")
    assert Settings.from_toml(file).race.deadline == 5
    known = ConfigIdentity.read(file, environ={})
    file.write_bytes(b"[race]\ndeadline = 5\n")
    assert known is not None
    assert ConfigIdentity.read(file, environ={}) == known


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("engine", "vllm"),
        ("engine.kind", "llama"),
        ("engine.model", 7),
        ("engine.dtype", "int3"),
        ("engine.max_branches", "many"),
        ("engine.max_branches", 0),
        ("engine.max_branches", 1.5),
        ("engine.max_context_tokens", -1),
        ("engine.cache_gib", 0),
        ("engine.gpu_memory_utilization", 1.1),
        ("engine.gpu_memory_utilization", 0),
        ("engine.tensor_parallel", []),
        ("engine.eager", "perhaps"),
        ("engine.shutdown_timeout", -1),
        ("engine.log_level", "LOUD"),
        ("engine.speculation", True),
        ("engine.speculation.method", "magic"),
        ("engine.speculation.tokens", 0),
        ("sampling.temperature", -0.1),
        ("sampling.temperature", float("nan")),
        ("sampling.top_p", 0),
        ("sampling.top_p", 1.01),
        ("sampling.top_k", -1),
        ("sampling.max_tokens", 0),
        ("sampling.stop", "a string and no list"),
        ("race", []),
        ("race.deadline", 0),
        ("race.deadline", -1),
        ("race.deadline", float("nan")),
        ("race.deadline", "soon"),
        ("race.branches", 0),
        ("race.strategy", 1),
        ("race.parameters", "stop"),
        ("race.return_margin", -0.01),
        ("race.abort_limit", 0),
        ("forcing.suffix", 1),
        ("forcing.max_tokens", 0),
        ("forcing.stop", {}),
        ("answers.pattern", "("),
        ("answers.compare_timeout", 0),
        ("answers.workers", -1),
        ("log.level", "loud"),
        ("log.format", "xml"),
    ],
)
def test_a_wrong_type_or_value_is_refused_by_its_path(path: str, value: object) -> None:
    assert refusal(nested(path, value)).startswith(f"{path}: ")


def test_an_element_of_a_list_is_named_by_its_position() -> None:
    assert refusal({"sampling": {"stop": ["a", 1]}}).startswith("sampling.stop.1: ")


@pytest.mark.parametrize(
    ("data", "path", "says"),
    [
        (nested("engine.speculation.method", "draft_model"), "engine.speculation", "model"),
        (nested("engine.speculation.model", "demo-draft"), "engine.speculation", "model"),
        (
            nested("engine.speculation", {"method": "ngram", "model": "demo-draft"}),
            "engine.speculation",
            "no meaning",
        ),
        (
            nested("engine.speculation", {"method": "mtp", "rejection_sample_method": "fly"}),
            "engine.speculation",
            "fly accepts",
        ),
        (
            nested("engine.speculation", {"method": "ngram", "fly_window_size": 3}),
            "engine.speculation",
            "fly_window_size accepts",
        ),
        (nested("engine.speculation.tokens", 3), "engine.speculation", "tokens"),
        (nested("engine.speculation.ngram_min", 3), "engine.speculation", "ngram"),
        (
            nested("engine.speculation", {"method": "draft_model", "model": "x", "ngram_max": 3}),
            "engine.speculation",
            "ngram",
        ),
        (
            nested("engine.speculation", {"method": "ngram", "ngram_min": 3, "ngram_max": 2}),
            "engine.speculation",
            "ngram_max",
        ),
        (nested("lengths", {"median": 10, "p95": 10}), "lengths", "p95"),
        (nested("race.strategy", "magic"), "race", "majority"),
        (nested("race.parameters.stopp", "clinch"), "race", "stopp"),
        (nested("race.parameters.stop", "sometimes"), "race", "flip_risk"),
        (nested("race.parameters.max_flip_risk", 1.5), "race", "max_flip_risk"),
        (nested("race.parameters.branches", 4), "race", "race.branches"),
        (nested("race.branches", 65), "race.branches", "engine.max_branches"),
        (
            {"engine": {"max_context_tokens": 16}, "forcing": {"max_tokens": 16}},
            "forcing.max_tokens",
            "engine.max_context_tokens",
        ),
        (nested("lengths.median", 10), "lengths.p95", "required"),
    ],
)
def test_a_combination_that_cannot_work_is_refused_with_its_reason(
    data: dict[str, Any], path: str, says: str
) -> None:
    message = refusal(data)
    assert path in message
    assert says in message


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("min_votes", "three"), ("min_votes", 2.5), ("min_votes", True), ("force_answers", "no")],
)
def test_a_strategy_parameter_of_a_wrong_type_is_refused(parameter: str, value: object) -> None:
    message = refusal(nested(f"race.parameters.{parameter}", value))
    assert message.startswith("race")
    assert parameter in message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(nested("race.deadline", inf), id="every call is refused: not finite"),
        pytest.param(nested("race.return_margin", inf), id="every deadline is too short"),
        pytest.param(
            nested("race", {"deadline": 0.5, "return_margin": 0.6}), id="the default is too short"
        ),
    ],
)
def test_times_that_no_race_can_keep_are_refused(data: dict[str, Any]) -> None:
    assert "race" in refusal(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("race.deadline", "5"),
        ("engine.max_branches", "64"),
        ("engine.eager", "yes"),
    ],
)
def test_a_string_is_no_number_and_no_truth_value(path: str, value: object) -> None:
    refusal(nested(path, value))


def test_settings_do_not_change() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.race.deadline = 1.0  # type: ignore[misc]


# ── files ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda p: p.name)
def test_every_shipped_config_loads_and_says_nothing_in_vain(path: Path) -> None:
    settings = Settings.from_toml(path)
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    assert settings.model_fields_set >= set(written)


def test_there_are_shipped_configs() -> None:
    assert (ROOT / "configs" / "demo.toml").exists()


def test_a_file_is_read_and_named_in_what_is_wrong_with_it(file: Path) -> None:
    file.write_text("[race]\ndeadline = 2.5\n")
    assert Settings.from_toml(file).race.deadline == 2.5
    file.write_text("[engine.speculation]\nmethod = 'ngram'\ntokns = 3\n")
    with pytest.raises(ConfigError) as caught:
        Settings.from_toml(str(file))
    assert (
        str(caught.value) == f"{file}: engine.speculation.tokns: unknown key; did you mean tokens?"
    )
    assert caught.value.path == "engine.speculation.tokns"
    assert caught.value.source == str(file)


@pytest.mark.parametrize("content", [b"[race\n", b"race = \xff", b"deadline = 1\ndeadline = 2\n"])
def test_what_is_not_toml_is_refused_with_the_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings\.toml: not valid TOML"):
        Settings.from_toml(file)


def test_a_file_that_cannot_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot read it") as caught:
            Settings.from_toml(path)
        assert str(path) in str(caught.value)


def model_in(file: Path, model: str) -> str:
    file.write_text(f'[engine]\nmodel = "{model}"\n')
    return Settings.from_toml(file).engine.model


def test_a_relative_model_folder_is_relative_to_the_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert model_in(file, "./models/a") == str(tmp_path / "models" / "a")
    assert model_in(file, "../a") == str(tmp_path.parent / "a")
    assert model_in(file, "/models/a") == "/models/a"


def test_a_model_in_the_home_folder_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert model_in(file, "~/models/a") == "/home/someone/models/a"


def test_a_bare_name_is_a_folder_only_if_a_model_is_there(file: Path, tmp_path: Path) -> None:
    assert model_in(file, "org/model") == "org/model"
    assert model_in(file, "demo") == "demo"
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert model_in(file, "org/model") == "org/model"
    (tmp_path / "org" / "model" / "config.json").touch()
    assert model_in(file, "org/model") == str(tmp_path / "org" / "model")


def test_a_draft_model_is_relative_to_the_file_as_well(file: Path, tmp_path: Path) -> None:
    file.write_text('[engine.speculation]\nmethod = "draft_model"\nmodel = "./draft"\n')
    speculation = Settings.from_toml(file).engine.speculation
    assert speculation.draft_model == str(tmp_path / "draft")
    file.write_text('[engine.speculation]\nmethod = "ngram"\n')
    assert Settings.from_toml(file).engine.speculation.draft_model is None
