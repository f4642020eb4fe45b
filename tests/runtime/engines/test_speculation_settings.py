"""``[engine.speculation]``: every method with its own keys, and the refusal of what cannot work."""

from typing import Any

import pytest

from frontrunner.runtime.config import NoSpeculation, Settings, SpeculationSettings
from frontrunner.runtime.config.tables import tables
from frontrunner.runtime.drafting import SETTINGS_KEY
from frontrunner.runtime.drafting.drafting_settings import DraftingSettings
from frontrunner.runtime.engines.vllm import speculative_config
from frontrunner.runtime.engines.vllm.speculative_config import (
    check_speculation,
    speculation_arguments,
)
from frontrunner.runtime.errors import ConfigError, EngineStartError

TABLE = tables(Settings)["engine.speculation"]
METHODS = ("ngram", "draft_model", "eagle3", "mtp", "suffix", "cross_branch")
#: A value of each key that is not its default.
VALUES: dict[str, Any] = {
    "tokens": 5,
    "tokens_per_batch_size": [[1, 8, 3], [9, 32, 1]],
    "model": "some/heads",
    "ngram_min": 3,
    "ngram_max": 5,
    "suffix_depth": 16,
    "suffix_cached_requests": 100,
    "suffix_factor": 2.0,
    "min_probability": 0.4,
    "longest_match": 6,
    "token_cost": 0.03,
    "earlier_races": False,
    "memory_mib": 32.0,
}


def table(method: str, **keys: Any) -> dict[str, Any]:
    if method in ("draft_model", "eagle3"):
        keys.setdefault("model", "some/heads")
    return {"method": method, **keys}


def loaded(**keys: Any) -> SpeculationSettings:
    return Settings.from_dict({"engine": {"speculation": keys}}).engine.speculation


def test_every_key_is_known_to_belong_to_methods() -> None:
    keys = {key for model in TABLE.sections.values() for key in model.model_fields}
    assert keys - {"method"} == set(VALUES)
    assert list(TABLE.sections) == ["none", *METHODS]


@pytest.mark.parametrize("method", ["none", *METHODS])
@pytest.mark.parametrize("key", VALUES)
def test_a_key_is_taken_by_its_methods_and_refused_by_the_others(method: str, key: str) -> None:
    keys = table(method) | {key: VALUES[key]}
    if method in TABLE.takes(key):
        assert getattr(loaded(**keys), key) is not None
    else:
        with pytest.raises(ConfigError) as caught:
            loaded(**keys)
        assert caught.value.path == f"engine.speculation.{key}"
        assert f'no meaning with method "{method}"' in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "path", "says"),
    [
        ({"method": "eagle3"}, "engine.speculation", "needs speculation.model"),
        (
            table("ngram", tokens_per_batch_size=[[2, 8, 3]]),
            "engine.speculation.tokens_per_batch_size",
            "begin at 1",
        ),
        (
            table("ngram", tokens_per_batch_size=[[1, 8, 3], [8, 16, 1]]),
            "engine.speculation.tokens_per_batch_size",
            "before the one to 8 ends",
        ),
        (
            table("ngram", tokens_per_batch_size=[[1, 8, 3], [12, 10, 1]]),
            "engine.speculation.tokens_per_batch_size",
            "empty",
        ),
        (
            table("ngram", tokens_per_batch_size=[[1, 8, 0]]),
            "engine.speculation.tokens_per_batch_size",
            'method "none"',
        ),
        (
            table("ngram", tokens_per_batch_size=[[1, 8]]),
            "engine.speculation.tokens_per_batch_size.0.2",
            "",
        ),
        (
            table("ngram", tokens=2, tokens_per_batch_size=[[1, 8, 3]]),
            "engine.speculation",
            "above tokens",
        ),
        (table("cross_branch", longest_match=0), "engine.speculation.longest_match", ""),
        (table("cross_branch", min_probability=1.5), "engine.speculation.min_probability", ""),
        (table("cross_branch", memory_mib=0), "engine.speculation.memory_mib", ""),
    ],
)
def test_what_cannot_work_is_refused_by_its_path(
    keys: dict[str, Any], path: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(**keys)
    assert caught.value.path == path
    assert says in str(caught.value)


def test_no_speculation_tells_vllm_nothing() -> None:
    assert speculation_arguments(NoSpeculation()) == {}


@pytest.mark.parametrize("method", ["ngram", "draft_model", "eagle3", "mtp"])
def test_k_by_batch_size_goes_to_vllm(method: str) -> None:
    found = loaded(**table(method, tokens_per_batch_size=[[1, 8, 5], [9, 32, 0]]))
    config = speculation_arguments(found)["speculative_config"]
    assert config["method"] == method
    assert config["num_speculative_tokens"] == 5
    assert config["num_speculative_tokens_per_batch_size"] == [[1, 8, 5], [9, 32, 0]]


def test_cross_branch_keeps_the_schedule_itself_and_tells_vllm_the_largest_k() -> None:
    found = loaded(
        method="cross_branch", tokens_per_batch_size=[[1, 4, 6], [9, 32, 2]], memory_mib=8.0
    )
    arguments = speculation_arguments(found)
    config = arguments["speculative_config"]
    assert config["num_speculative_tokens"] == 6
    assert "num_speculative_tokens_per_batch_size" not in config
    drafting = DraftingSettings.from_mapping(arguments["additional_config"][SETTINGS_KEY])
    assert [drafting.tokens_at(n, 6) for n in (1, 4, 6, 9, 40)] == [6, 6, 6, 2, 2]
    assert drafting.memory_mib == 8.0


def test_the_proposer_is_told_every_setting_of_its_own() -> None:
    own = set(TABLE.sections["cross_branch"].model_fields) - {"method", "tokens"}
    arguments = speculation_arguments(loaded(method="cross_branch"))
    assert set(arguments["additional_config"][SETTINGS_KEY]) == own


def test_the_proposer_vllm_is_told_to_load_is_there() -> None:
    pytest.importorskip("numba")
    config = speculation_arguments(loaded(method="cross_branch"))["speculative_config"]
    module, _, name = config["model"].rpartition(".")
    assert hasattr(__import__(module, fromlist=[name]), name)


@pytest.mark.parametrize(("method", "module"), [("suffix", "arctic"), ("cross_branch", "numba")])
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    method: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speculative_config, "find_spec", lambda name: None)
    with pytest.raises(EngineStartError, match=r"engine\.speculation\.method.*pip install") as e:
        check_speculation(loaded(method=method), {})
    assert module in str(e.value)


@pytest.mark.parametrize("method", ["suffix", "cross_branch"])
def test_the_other_model_runner_is_refused(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speculative_config, "find_spec", lambda name: object())
    check_speculation(loaded(method=method), {"VLLM_USE_V2_MODEL_RUNNER": "0"})
    with pytest.raises(EngineStartError, match="VLLM_USE_V2_MODEL_RUNNER"):
        check_speculation(loaded(method=method), {"VLLM_USE_V2_MODEL_RUNNER": "1"})


@pytest.mark.parametrize("branches", [1, 4, 16, 64])
def test_a_draft_token_must_be_likelier_the_more_it_costs(branches: int) -> None:
    least = [
        DraftingSettings(token_cost=cost, min_probability=0.1).least_at(branches)
        for cost in (0.0, 0.02, 0.2, 2.0)
    ]
    assert least[0] == 0.1
    assert least == sorted(least)
    assert least[-1] < 0.67
