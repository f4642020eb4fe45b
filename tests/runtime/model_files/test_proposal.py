"""Settings for a model are ones that the config takes, with a reason for each."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.config import Settings, VllmSettings
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.model_files.cache_room import cache_room
from frontrunner.runtime.model_files.commented_toml import Setting, as_commented_toml, as_nested
from frontrunner.runtime.model_files.families import Family, families
from frontrunner.runtime.model_files.inspection import ModelFiles
from frontrunner.runtime.model_files.proposal import Machine, Proposal, heading, propose

GIB = 2**30
CPU, GPU = Machine(True, 16 * GIB), Machine(False, 80 * GIB)
SHAPE = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3}


def files(**said: Any) -> ModelFiles:
    config = {
        "hidden_size": 576,
        "dtype": "bfloat16",
        "vocab_size": 49_152,
        "max_position_embeddings": 8192,
        **SHAPE,
        **said.pop("config", {}),
    }
    return ModelFiles("m", "folder", **{"config": config, "chat_template": "T", **said})


def proposed(found: ModelFiles, machine: Machine = CPU, family: str | None = None) -> Proposal:
    chosen: Family | None = families()[family] if family else None
    return propose(found, machine, engine={"model": "m"}, family=chosen)


texts = st.text(st.characters(codec="utf-8"), max_size=200)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.lists(texts, max_size=3),
    st.dictionaries(texts, st.one_of(texts, st.booleans()), max_size=3),
)


@given(
    st.lists(
        st.builds(
            Setting,
            st.sampled_from(["engine.model", "engine.x", "race.parameters.stop", "race.b", "a.c"]),
            values,
            st.from_regex(r"[\w ,;:'\"#=\[\]]{0,150}", fullmatch=True),
        ),
        unique_by=lambda setting: setting.path,
    )
)
def test_what_is_written_is_what_was_meant(settings: list[Setting]) -> None:
    text = as_commented_toml(settings, ["A heading.", "And # another, " * 20])
    assert tomllib.loads(text) == as_nested(settings)


@given(
    layers=st.integers(1, 120),
    heads=st.integers(1, 128),
    context=st.sampled_from([512, 2048, 8192, 131_072, 10_000_000]),
    vocabulary=st.integers(100, 300_000),
    free=st.one_of(st.none(), st.integers(GIB, 500 * GIB)),
    on_cpu=st.booleans(),
    weights=st.integers(1, 10**12),
    family=st.sampled_from([None, *families()]),
    makers=st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(0, 3),
            "top_p": st.floats(0, 1.5),
            "top_k": st.integers(-1, 99),
        },
    ),
)
def test_every_proposal_is_a_config(
    layers: int,
    heads: int,
    context: int,
    vocabulary: int,
    free: int | None,
    on_cpu: bool,
    weights: int,
    family: str | None,
    makers: dict[str, float],
) -> None:
    found = files(
        config={
            "num_hidden_layers": layers,
            "num_key_value_heads": heads,
            "head_dim": 128,
            "max_position_embeddings": context,
            "vocab_size": vocabulary,
        },
        weight_bytes=weights,
        generation_config=makers,
    )
    proposal = proposed(found, Machine(on_cpu, free), family)
    text = as_commented_toml(proposal.settings, heading(found, CPU, proposal.notes))
    settings = Settings.from_dict(tomllib.loads(text))
    engine = settings.engine
    assert isinstance(engine, VllmSettings)
    assert engine.max_context_tokens is not None
    assert engine.max_context_tokens <= context
    assert settings.sampling.max_tokens <= engine.max_context_tokens
    assert 0.2 <= settings.sampling.temperature <= 2
    if on_cpu:
        assert settings.sampling.top_p == 1 or vocabulary <= 32_000
        room = cache_room(engine, found)
        assert room is not None
        assert room.fits or engine.max_context_tokens == min(256, context)
    else:
        assert engine.cache_gib is None
    assert all(setting.reason for setting in proposal.settings if setting.path != "engine.model")


def test_a_number_format_that_the_machine_can_compute_with() -> None:
    def dtype(saved: str, machine: Machine) -> Any:
        return proposed(files(config={"dtype": saved}), machine).get("engine.dtype")

    assert dtype("float16", CPU) == "bfloat16"
    assert dtype("float16", GPU) == "float16"
    assert dtype("float32", CPU) == dtype("float32", GPU) == "bfloat16"
    quantised = files(config={"quantization_config": {"quant_method": "awq"}})
    assert proposed(quantised, GPU).get("engine.dtype") == "auto"


def test_top_p_is_for_gpus_and_small_vocabularies() -> None:
    makers = {"temperature": 0.7, "top_p": 0.9}
    large = files(generation_config=makers)
    small = files(generation_config=makers, config={"vocab_size": 1024})
    assert proposed(large, CPU).get("sampling.top_p") == 1.0
    assert proposed(large, CPU).get("sampling.top_k") == 50
    for proposal in (proposed(large, GPU), proposed(small, CPU)):
        assert proposal.get("sampling.top_p") == 0.9
        assert proposal.get("sampling.top_k") is None


def test_small_models_are_drawn_from_at_a_low_temperature() -> None:
    def temperature(weights: int, **found: Any) -> Any:
        return proposed(files(weight_bytes=weights, **found), CPU).get("sampling.temperature")

    cold, warm = {"temperature": 0.1}, {"temperature": 1.0}
    assert [temperature(w) for w in (GIB // 4, GIB)] == [0.2, 0.8]
    assert [temperature(w, generation_config=cold) for w in (GIB // 4, GIB)] == [0.2, 0.6]
    assert [temperature(w, generation_config=warm) for w in (GIB // 4, GIB)] == [1.0, 1.0]
    # Four bits a parameter: so many bytes are four times the parameters.
    four_bits = {"quantization_config": {"quant_method": "awq"}}
    assert temperature(GIB // 4, config=four_bits) == 0.8


def test_thinking_is_left_to_machines_that_have_the_time() -> None:
    on_cpu, on_gpu = proposed(files(), CPU, "qwen3"), proposed(files(), GPU, "qwen3")
    assert on_cpu.get("thinking.mode") == "off"
    assert on_gpu.get("thinking.mode") == "on"
    assert on_cpu.get("sampling.max_tokens") < on_gpu.get("sampling.max_tokens")
    assert on_gpu.get("race.deadline") == 60.0
    always = proposed(files(), CPU, "deepseek-r1")
    assert always.get("thinking.mode") == "auto"
    assert always.get("sampling.max_tokens") > on_cpu.get("sampling.max_tokens")


def test_a_base_model_is_not_asked_for_boxes() -> None:
    assert proposed(files()).get("answers.kind") == "boxed"
    assert proposed(files(chat_template=None)).get("answers.kind") == "last_number"


def test_weights_that_do_not_fit_are_said() -> None:
    proposal = proposed(files(weight_bytes=40 * GIB))
    (note,) = proposal.notes
    assert "40.0 GiB" in note
    assert "16.0 GiB" in note
    text = as_commented_toml(proposal.settings, heading(files(), CPU, proposal.notes))
    assert "# The weights take 40.0 GiB" in text
    # In float32 they take twice of what is loaded.
    assert not proposed(files(config={"dtype": "float32"}, weight_bytes=20 * GIB)).notes


def test_what_vllm_does_not_read() -> None:
    with pytest.raises(BadRequest, match=r"GGUF.*engine\.url"):
        proposed(ModelFiles("m.gguf", "gguf"))
    with pytest.raises(BadRequest, match=r"no config\.json"):
        proposed(ModelFiles("m", "folder", Path("m")))


def test_an_endpoint_that_says_little() -> None:
    engine = {"kind": "openai", "url": "http://host/v1"}
    proposal = propose(ModelFiles("m", "endpoint"), CPU, engine=engine)
    settings = Settings.from_dict(proposal.nested)
    assert settings.engine.max_context_tokens == 4096
    assert settings.engine.kind == "openai"
    said = propose(ModelFiles("m", "endpoint", served_context=999), CPU, engine=engine)
    assert said.get("engine.max_context_tokens") is None
