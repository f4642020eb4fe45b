"""What a model's files say is read off them, whatever is missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.config import OpenAISettings, VllmSettings
from frontrunner.runtime.config.speculation import DraftModelSpeculation
from frontrunner.runtime.engines.openai.served_model import inspect_endpoint
from frontrunner.runtime.engines.vllm.start import check_model, cpu_cache_gib, model_folder
from frontrunner.runtime.errors import BadRequest, EngineStartError
from frontrunner.runtime.model_files.cache_room import cache_room
from frontrunner.runtime.model_files.inspection import inspect

from ..engines.fake_endpoint import MODEL, FakeEndpoint

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "vocab_size": 50_000,
    "torch_dtype": "bfloat16",
    "eos_token_id": 7,
}


def folder(path: Path, **files: Any) -> Path:
    """A model's folder with these files of JSON; a text is written as it is."""
    path.mkdir(exist_ok=True)
    for name, data in files.items():
        file = path / name.replace("__", ".")
        file.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_a_whole_folder(tmp_path: Path) -> None:
    model = folder(
        tmp_path / "m",
        config__json=CONFIG,
        generation_config__json={"temperature": 0.6, "eos_token_id": [7, 9]},
        tokenizer_config__json={
            "bos_token": {"content": "<s>"},
            "eos_token": "</s>",
            "chat_template": [
                {"name": "tool_use", "template": "T"},
                {"name": "default", "template": "D"},
            ],
            "added_tokens_decoder": {"2": {"content": "<think>"}, "1": {"content": "<s>"}},
        },
    )
    (model / "model.safetensors").write_bytes(bytes(1000))
    (model / "pytorch_model.bin").write_bytes(bytes(5000))
    files = inspect(model)
    assert (files.source, files.folder, files.gguf) == ("folder", model, False)
    assert (files.architecture, files.model_type) == ("LlamaForCausalLM", "llama")
    assert (files.dtype, files.quantization) == ("bfloat16", None)
    assert (files.context_tokens, files.vocabulary_size) == (4096, 50_000)
    assert files.chat_template == "D"
    assert files.special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}
    assert files.added_tokens == ("<s>", "<think>")
    assert files.weight_bytes == 1000
    assert files.end_tokens == (7, 9)
    # Keys and values, 4 layers, 2 heads of 512 / 8 numbers, two bytes each.
    assert files.cache_bytes_per_token == 2 * 4 * 2 * 64 * 2


def test_a_template_of_its_own_goes_before_the_tokenizers(tmp_path: Path) -> None:
    model = folder(
        tmp_path,
        config__json=CONFIG,
        tokenizer_config__json={"chat_template": "old"},
        chat_template__jinja="new",
    )
    assert inspect(model).chat_template == "new"


def test_templates_by_name_of_which_one_is_broken(tmp_path: Path) -> None:
    said = {"chat_template": [{"name": "default"}, {"name": "tools", "template": "{{ x }}"}]}
    model = folder(tmp_path / "m", config__json=CONFIG, tokenizer_config__json=said)
    assert inspect(model).chat_template == "{{ x }}"


def test_the_part_that_writes_text_of_a_model_that_sees(tmp_path: Path) -> None:
    model = folder(
        tmp_path,
        config__json={
            "model_type": "gemma3",
            "text_config": {"vocab_size": 9, "max_position_embeddings": 64, "dtype": "float32"},
            "quantization_config": {"quant_method": "awq"},
        },
    )
    files = inspect(model)
    assert (files.model_type, files.vocabulary_size, files.context_tokens) == ("gemma3", 9, 64)
    assert (files.dtype, files.quantization) == ("float32", "awq")
    assert files.cache_bytes_per_token is None
    assert files.end_tokens == ()


def test_a_limit_that_is_none(tmp_path: Path) -> None:
    bare = {"model_type": "llama"}
    model = folder(tmp_path, config__json=bare, tokenizer_config__json={"model_max_length": 1e30})
    assert inspect(model).context_tokens is None


def test_a_gguf_file_and_a_folder_of_them(tmp_path: Path) -> None:
    file = tmp_path / "model-q4.gguf"
    file.write_bytes(bytes(10))
    for model in (file, tmp_path):
        assert inspect(model).gguf
        assert inspect(model).weight_bytes == 10
    with pytest.raises(EngineStartError, match=r"^engine\.model: .*GGUF.*engine\.url"):
        check_model("engine.model", str(file))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("/nowhere/at/all", "there is no folder"),
        ("./nowhere", "there is no folder"),
        ("https://host/v1", "is an address"),
        ("models/My Model", "there is no folder"),
        ("model..x", "there is no folder"),
    ],
)
def test_no_model(model: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        inspect(model)


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"config\.json is expected"):
        inspect(tmp_path)
    file = tmp_path / "weights.bin"
    file.write_bytes(b"x")
    with pytest.raises(BadRequest, match="name the model's folder"):
        inspect(file)
    folder(tmp_path, config__json="{")
    with pytest.raises(BadRequest, match="is not JSON"):
        inspect(tmp_path)
    folder(tmp_path, config__json="[]")
    with pytest.raises(BadRequest, match="no JSON object"):
        inspect(tmp_path)


def test_a_hub_name_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def unreachable(*args: object, **kwargs: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(hub, "snapshot_download", unreachable)
    with pytest.raises(BadRequest, match=r"no network .*HF_TOKEN"):
        inspect("somebody/some-model")


def test_a_hub_model_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    cached = folder(tmp_path, config__json=CONFIG)
    found = {"somebody/some-model": str(cached / "config.json")}
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda name, file: found.get(name))
    files = inspect("somebody/some-model")
    assert (files.source, files.model_type) == ("hub", "llama")


def test_a_context_that_does_not_fit_into_a_cpus_cache(tmp_path: Path) -> None:
    long = {**CONFIG, "max_position_embeddings": 2**20}
    model = str(folder(tmp_path / "long", config__json=long))
    with pytest.raises(EngineStartError, match=r"engine\.max_context_tokens.*engine\.cache_gib"):
        cpu_cache_gib(VllmSettings(model=model))
    room = cache_room(VllmSettings(model=model), inspect(model))
    assert room is not None
    # Half of it is kept at most, of 2,048 bytes a token.
    assert room.tokens == 2**30 // 2048
    # What is advised does fit.
    least = int(room.advice.split()[3])
    assert least <= room.tokens
    cpu_cache_gib(VllmSettings(model=model, max_context_tokens=least))
    gib = float(room.advice.split()[-3])
    cpu_cache_gib(VllmSettings(model=model, cache_gib=gib))


def test_layers_with_a_window_keep_no_more(tmp_path: Path) -> None:
    kinds = ["sliding_attention"] * 3 + ["full_attention"]
    windowed = {**CONFIG, "layer_types": kinds, "sliding_window": 1024}
    settings = VllmSettings(model=str(folder(tmp_path, config__json=windowed)))
    room = cache_room(settings, inspect(settings.model))
    assert room is not None
    assert room.context_bytes == 2048 * 4096 * (1 + 3 * 0.25) / 4


def test_a_cpus_cache_is_what_all_branches_can_use() -> None:
    settings = VllmSettings(max_branches=64, max_context_tokens=1024)
    room = cache_room(settings, inspect(model_folder("demo")))
    assert room is not None
    assert room.tokens == 2 * 64 * 1024
    assert cpu_cache_gib(settings) == room.cache_gib
    more = settings.model_copy(update={"max_branches": 1024})
    assert cpu_cache_gib(more) == 1  # at most, unless it is asked for
    assert cpu_cache_gib(more.model_copy(update={"cache_gib": 3.0})) == 3


def test_a_draft_model_keeps_a_cache_too() -> None:
    speculation = DraftModelSpeculation(model="demo-draft", tokens=3)
    alone = VllmSettings(max_branches=16, max_context_tokens=1024)
    assert cpu_cache_gib(alone.model_copy(update={"speculation": speculation})) == 2 * (
        cpu_cache_gib(alone)
    )


def test_what_a_token_takes_may_not_be_known(tmp_path: Path) -> None:
    model = str(folder(tmp_path, config__json={"model_type": "unheard-of"}))
    assert cpu_cache_gib(VllmSettings(model=model)) == 1


def test_the_demo_fits() -> None:
    cpu_cache_gib(VllmSettings())
    assert inspect(model_folder("demo")).chat_template


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_endpoint(tmp_path: Path, anyio_backend: str) -> None:
    there = FakeEndpoint(context=5000)
    await there.start()
    try:
        files = await inspect_endpoint(OpenAISettings(url=there.url))
        assert (files.source, files.model, files.context_tokens) == ("endpoint", MODEL, 5000)
        assert (files.config, files.chat_template, files.server) == ({}, None, None)
        # With a tokenizer on this machine its template is known.
        tokenizer = folder(
            tmp_path,
            tokenizer__json={"added_tokens": [{"id": 0, "content": "<x>"}]},
            chat_template__jinja="T",
        )
        files = await inspect_endpoint(OpenAISettings(url=there.url, tokenizer=str(tokenizer)))
        assert (files.source, files.model, files.context_tokens) == ("endpoint", MODEL, 5000)
        assert (files.chat_template, files.added_tokens) == ("T", ("<x>",))
    finally:
        await there.stop()
    with pytest.raises(EngineStartError, match="is it running there"):
        await inspect_endpoint(OpenAISettings(url="http://127.0.0.1:9/v1"))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_that_races_itself_is_no_endpoint_to_race_on(anyio_backend: str) -> None:
    there = FakeEndpoint(owner="frontrunner")
    await there.start()
    try:
        with pytest.raises(EngineStartError, match="races already: ask it with frontrunner solve"):
            await inspect_endpoint(OpenAISettings(url=there.url))
    finally:
        await there.stop()
