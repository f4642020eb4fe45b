"""The section ``[rewards]``, and the models it makes."""

from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.config import NoRewards, PoolingRewards, RemoteRewards, Settings
from frontrunner.runtime.engines.scripted import Script, ScriptedEngine
from frontrunner.runtime.errors import ConfigError
from frontrunner.runtime.rewards import make_reward_model
from frontrunner.runtime.rewards.supervised import SupervisedReward

POOLING = {"kind": "pooling", "model": "demo-reward"}
REMOTE = {"kind": "remote", "url": "http://localhost:8000/classify"}
VERIFIER = {"kind": "verifier"}


def refusal(**rewards: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Settings.from_dict({"rewards": rewards})
    return caught.value


@pytest.mark.parametrize("rewards", [{}, {"kind": "none"}, POOLING, REMOTE, VERIFIER])
def test_each_kind_needs_no_more_than_this(rewards: dict[str, Any]) -> None:
    settings = Settings.from_dict({"rewards": rewards}).rewards
    assert settings.kind == rewards.get("kind", "none")


@pytest.mark.parametrize(
    ("rewards", "key"),
    [
        ({"model": "a"}, "model"),
        ({"batch": 4}, "batch"),
        ({**POOLING, "url": "http://a/score"}, "url"),
        ({**POOLING, "samples": 4}, "samples"),
        ({**REMOTE, "cache_gib": 1.0}, "cache_gib"),
        ({**REMOTE, "yes": "y"}, "yes"),
        ({**VERIFIER, "task": "orm"}, "task"),
        ({**VERIFIER, "model": "a"}, "model"),
        ({**POOLING, "aggregation": "min"}, "aggregation"),
        ({**POOLING, "task": "orm", "step_marker": "<m>"}, "step_marker"),
        ({**POOLING, "template": "{question}"}, "template"),
        ({**POOLING, "step_delimiter": ""}, "step_delimiter"),
        ({**POOLING, "label": "right"}, "label"),
        ({**REMOTE, "url": "localhost"}, "url"),
        ({**REMOTE, "url": "http:///x"}, "url"),
        ({**VERIFIER, "yes": " "}, "yes"),
        ({**POOLING, "gpu_memory_utilization": 1.5}, "gpu_memory_utilization"),
        ({"kind": "oracle"}, "kind"),
        ({"knd": "none"}, "knd"),
    ],
)
def test_what_cannot_work_is_refused_by_its_path(rewards: dict[str, Any], key: str) -> None:
    assert refusal(**rewards).path == f"rewards.{key}"


@pytest.mark.parametrize(
    ("rewards", "says"),
    [
        ({"kind": "pooling"}, "rewards.model"),
        ({"kind": "remote"}, "rewards.url"),
        ({**VERIFIER, "yes": "Right", "no": "right "}, "rewards.yes"),
        ({**REMOTE, "task": "prm"}, "rewards.api"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_named(rewards: dict[str, Any], says: str) -> None:
    assert says in str(refusal(**rewards))


def test_a_process_reward_model_may_be_told_how_to_read_its_steps() -> None:
    settings = Settings.from_dict(
        {
            "rewards": {
                **POOLING,
                "task": "prm",
                "aggregation": "prod",
                "step_marker": "<extra_0>",
                "system": "Please reason step by step.",
            }
        }
    ).rewards
    assert isinstance(settings, PoolingRewards)
    assert settings.aggregation == "prod"
    assert settings.step_delimiter == "\n\n"


def test_two_engines_cannot_have_more_than_the_whole_gpu() -> None:
    data = {
        "engine": {"gpu_memory_utilization": 0.9},
        "rewards": {**POOLING, "gpu_memory_utilization": 0.2},
    }
    with pytest.raises(ConfigError, match=r"rewards\.gpu_memory_utilization"):
        Settings.from_dict(data)
    data["engine"]["gpu_memory_utilization"] = 0.8
    Settings.from_dict(data)


def test_a_relative_model_folder_is_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[rewards]\nkind = "pooling"\nmodel = "./judge"\n')
    rewards = Settings.from_toml(file).rewards
    assert isinstance(rewards, PoolingRewards)
    assert rewards.model == str(tmp_path / "judge")
    file.write_text('[rewards]\nkind = "remote"\nmodel = "./judge"\nurl = "http://a"\n')
    rewards = Settings.from_toml(file).rewards
    assert isinstance(rewards, RemoteRewards)
    assert rewards.model == "./judge"


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("http://a/classify", "classify"),
        ("http://a/v1/score/", "score"),
        ("http://a/pooling?x=1", "pooling"),
        ("http://a", "json"),
        ("http://a/rewards", "json"),
    ],
)
def test_an_endpoints_language_is_known_by_its_path(url: str, api: str) -> None:
    assert RemoteRewards(url=url).endpoint_api == api
    assert RemoteRewards(url=url, api="json").endpoint_api == "json"


def test_settings_make_the_model_that_they_name() -> None:
    engine = ScriptedEngine(Script([]))
    assert make_reward_model(NoRewards(), engine) is None
    for rewards in (POOLING, REMOTE, VERIFIER):
        made = make_reward_model(Settings.from_dict({"rewards": rewards}).rewards, engine)
        made = made.inner if isinstance(made, SupervisedReward) else made
        assert type(made).__name__.lower() == f"{rewards['kind']}reward"
