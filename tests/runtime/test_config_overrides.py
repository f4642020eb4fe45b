"""Keys from the environment and from ``--set``, and what is said about several wrong ones."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner import Runtime
from frontrunner.runtime.config import Settings, demo_config_path, reference
from frontrunner.runtime.config.overrides import key_paths, variable_of
from frontrunner.runtime.config.tables import tables
from frontrunner.runtime.engines import Script, ScriptedEngine
from frontrunner.runtime.errors import ConfigError
from frontrunner.runtime.model_files.effective import effective

from .cli.conftest import RunCli, run_cli

__all__ = ["run_cli"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "engine.toml"
    path.write_text('[race]\nbranches = 4\n\n[server]\nhost = "10.0.0.1"\nport = 1\n')
    return path


def refused(config: Path, *sets: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Settings.load(config, sets=sets, environ=environ)
    return caught.value


def test_each_key_has_a_variable_of_its_own() -> None:
    variables = Counter(map(variable_of, key_paths(Settings)))
    assert set(variables.values()) == {1}
    assert {"FRONTRUNNER_SERVER_PORT", "FRONTRUNNER_ENGINE_SPECULATION_TOKENS"} <= set(variables)
    assert "FRONTRUNNER_CONFIG" not in variables


def test_every_key_of_the_reference_can_be_given_so() -> None:
    listed = {key.path for table in tables(Settings).values() for key in reference.keys_of(table)}
    assert listed == set(key_paths(Settings))


def test_set_counts_over_the_environment_and_that_over_the_file(config: Path) -> None:
    environ = {"FRONTRUNNER_SERVER_PORT": "2", "FRONTRUNNER_RACE_BRANCHES": "8"}
    settings = Settings.load(config, sets=["server.port=3"], environ=environ)
    assert (settings.server.port, settings.race.branches) == (3, 8)
    assert settings.server.host == "10.0.0.1"


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("server.open_metrics=true", "server.open_metrics", True),
        ("server.open_metrics=True", "server.open_metrics", True),
        ("race.deadline=5", "race.deadline", 5.0),
        ("server.model=7", "server.model", "7"),
        ('server.model="7"', "server.model", "7"),
        ("server.model = big one ", "server.model", "big one"),
        ("server.origins=https://a.org,https://b.org", "server.origins",
         ("https://a.org", "https://b.org")),
        ('server.origins=["*"]', "server.origins", ("*",)),
        ("race.parameters.lead=3", "race.parameters", {"lead": 3}),
        ('race.parameters={stop = "none"}', "race.parameters", {"stop": "none"}),
    ],
)  # fmt: skip
def test_values_are_read_by_the_type_of_their_key(
    config: Path, text: str, path: str, value: Any
) -> None:
    found: Any = Settings.load(config, sets=[text], environ={})
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


@given(st.integers(0, 65535), st.floats(1, 1e6), st.booleans())
def test_what_is_given_so_is_what_a_file_gives(port: int, deadline: float, events: bool) -> None:
    environ = {
        "FRONTRUNNER_SERVER_PORT": str(port),
        "FRONTRUNNER_RACE_DEADLINE": repr(deadline),
        "FRONTRUNNER_SERVER_EVENTS": str(events).lower(),
    }
    said = {
        "server": {"port": port, "events": events},
        "race": {"deadline": deadline},
    }
    assert Settings.from_environment(environ) == Settings.from_dict(said)


def test_the_kind_of_a_table_may_come_from_the_environment(config: Path) -> None:
    environ = {"FRONTRUNNER_ENGINE_KIND": "openai", "FRONTRUNNER_ENGINE_URL": "http://gpu:1/v1"}
    engine = Settings.load(config, environ=environ).engine
    assert engine.kind == "openai"
    assert engine.url == "http://gpu:1/v1"


def test_an_empty_variable_says_nothing(config: Path) -> None:
    assert Settings.load(config, environ={"FRONTRUNNER_SERVER_PORT": ""}).server.port == 1


def test_a_wrong_variable_is_named_with_the_one_that_was_meant(config: Path) -> None:
    error = refused(config, FRONTRUNNER_SERVER_PROT="2")
    assert "FRONTRUNNER_SERVER_PROT" in str(error)
    assert "did you mean FRONTRUNNER_SERVER_PORT?" in str(error)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("FRONTRUNNER_SERVR_PORT", "FRONTRUNNER_SERVER_PORT"),
        ("FRONTRUNNER_RACES_BRANCHES", "FRONTRUNNER_RACE_BRANCHES"),
    ],
)
def test_a_slip_in_the_name_of_a_table_is_seen(config: Path, variable: str, meant: str) -> None:
    error = refused(config, **{variable: "9"})
    assert error.path == variable
    assert error.problem.endswith(f"did you mean {meant}?")


@pytest.mark.parametrize("service", ["", "_SERVER", "_ENGINE", "_RACE", "_SERVER_PUBLIC"])
def test_what_kubernetes_sets_for_a_service_is_no_setting(config: Path, service: str) -> None:
    """A Service called ``frontrunner-server`` gives all pods beside it such variables."""
    name, address = f"FRONTRUNNER{service}", "tcp://10.0.0.7:8000"
    linked = {
        f"{name}_SERVICE_HOST": "10.0.0.7",
        f"{name}_SERVICE_PORT": "8000",
        f"{name}_SERVICE_PORT_HTTP": "8000",
        f"{name}_PORT": address,
        f"{name}_PORT_8000_TCP": address,
        f"{name}_PORT_8000_TCP_PROTO": "tcp",
        f"{name}_PORT_8000_TCP_PORT": "8000",
        f"{name}_PORT_8000_TCP_ADDR": "10.0.0.7",
    }
    assert Settings.load(config, environ=linked) == Settings.load(config, environ={})


@pytest.mark.parametrize("variable", ["FRONTRUNNER_API_KEY", "FRONTRUNNER_SEED", "FRONTRUNNER_X"])
def test_other_variables_are_nobodys_slip(config: Path, variable: str) -> None:
    assert Settings.load(config, environ={variable: "9"}) == Settings.load(config, environ={})


def test_a_wrong_value_names_what_said_it(config: Path) -> None:
    error = refused(config, "race.branches=many", FRONTRUNNER_SERVER_PORT="http")
    assert [said.partition(":")[0] for said in error.each] == [
        "--set race.branches",
        "FRONTRUNNER_SERVER_PORT",
    ]
    assert error.each[0].count("race.branches") == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server.port", "takes section.key=value"),
        ("server.prot=2", "did you mean server.port?"),
        ("nothing.at.all=2", "there is no such key"),
        ("race.parameters=clinch", "a TOML table is expected"),
    ],
)
def test_a_wrong_set_is_refused(config: Path, text: str, problem: str) -> None:
    assert problem in str(refused(config, text))


def test_variables_that_hold_keys_are_not_taken_for_keys_of_the_config(config: Path) -> None:
    config.write_text('[server]\nkeys_env = "FRONTRUNNER_SERVER_SECRETS"\n')
    environ = {"FRONTRUNNER_SERVER_SECRETS": "a,b", "FRONTRUNNER_KEYS": "c", "OTHER": "d"}
    assert Settings.load(config, environ=environ).server.keys_env == "FRONTRUNNER_SERVER_SECRETS"


def test_paths_beside_the_file_are_relative_to_the_working_directory(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "model").mkdir(parents=True)
    (elsewhere / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(elsewhere)
    sets = ["server.key_file=keys.txt", "engine.model=model"]
    settings = Settings.load(config, sets=sets, environ={})
    assert settings.server.key_file == str(elsewhere / "keys.txt")
    assert settings.engine.model == str(elsewhere / "model")
    assert Settings.load(config, sets=["engine.model=org/m"], environ={}).engine.model == "org/m"


def test_the_environment_names_the_file(config: Path) -> None:
    environ = {"FRONTRUNNER_CONFIG": str(config)}
    assert Settings.load(environ=environ).race.branches == 4
    assert Settings.load(environ={}) == Settings.from_toml(demo_config_path())


def test_a_runtime_without_a_config_is_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRONTRUNNER_CONFIG", raising=False)
    engine = ScriptedEngine(Script([]))
    monkeypatch.setattr("frontrunner.runtime.engines.factory.make_engine", lambda *_: engine)
    settings = Runtime.from_config().settings
    assert settings.race == Settings.from_toml(demo_config_path()).race


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_dict({"race": {"braches": 3, "deadline": "soon"}, "servr": {}, "server": {}})
    assert caught.value.path == "race.deadline"
    assert [said.partition(":")[0] for said in caught.value.each] == [
        "race.deadline",
        "race.braches",
        "servr",
    ]
    assert str(caught.value) == "\n".join(caught.value.each)


def test_a_key_of_another_table_is_named() -> None:
    with pytest.raises(ConfigError, match=r"server\.branches: unknown key; did you mean race\.b"):
        Settings.from_dict({"server": {"branches": 3}})


def test_all_conflicts_are_said_at_once() -> None:
    data = {"race": {"branches": 65}, "forcing": {"max_tokens": 9}}
    with pytest.raises(ConfigError, match=r"max_branches.*; .*forcing\.max_tokens"):
        Settings.from_dict({**data, "engine": {"max_context_tokens": 8}})


# ── what counts in the end ────────────────────────────────────────────────────────────────────


def test_what_counts_is_said_with_who_says_it(config: Path) -> None:
    environ = {"FRONTRUNNER_SERVER_PORT": "2"}
    lines = effective(config, ["race.deadline=7"], environ)
    assert "port = 2  # FRONTRUNNER_SERVER_PORT" in lines
    assert "deadline = 7.0  # --set race.deadline" in lines
    assert "branches = 4  # engine.toml" in lines
    assert 'strategy = "majority"' in lines


def test_it_is_a_config_that_says_the_same(config: Path, tmp_path: Path) -> None:
    sets = ['race.parameters={stop = "lead", lead = 2}', 'server.origins=["https://a.org"]']
    written = tmp_path / "written.toml"
    written.write_text("\n".join(effective(config, sets, {})))
    assert Settings.from_toml(written) == Settings.load(config, sets=sets, environ={})


def test_no_secret_is_shown(config: Path) -> None:
    sets = ['prompt.template_arguments={api_key = "s3cr3t", style = "plain"}']
    shown = "\n".join(effective(config, sets, {"FRONTRUNNER_KEYS": "s3cr3t"}))
    assert "s3cr3t" not in shown
    assert 'style = "plain"' in shown


def test_the_command_shows_it(config: Path, run_cli: RunCli) -> None:
    done = run_cli(
        "config", "--effective", "--config", str(config), "--set", "server.port=5", "port"
    )
    assert (done.status, done.out.splitlines()[1:]) == (
        0,
        ["", "[server]", "port = 5  # --set server.port"],
    )
    assert run_cli("config", "--set", "server.port=5").status == 2


ODD = [
    "{a=" * 3_000,
    "x" * 100_000,
    "~nobody-of-this-name/x",
    "1\nother = 2",
    "\udcff",
    "{a = {b = 1}}",
]


@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text)[:20])
def test_whatever_a_variable_holds_it_is_taken_or_named(config: Path, text: str) -> None:
    for path in key_paths(Settings):
        try:
            Settings.load(config, environ={variable_of(path): text})
        except ConfigError as error:
            table = path.rpartition(".")[0]
            said = str(error)
            assert variable_of(path) in said or f"{table}." in said


def test_a_table_that_does_not_go_together_names_the_variable(config: Path) -> None:
    error = refused(config, FRONTRUNNER_RACE_MIN_BRANCHES="9")
    assert str(error).endswith(
        f"{config} with FRONTRUNNER_RACE_MIN_BRANCHES: race: min_branches must not exceed branches"
    )
