"""What the doctor sees in a model's tokenizer and template before anything is raced."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.cli.commands import doctor_model
from frontrunner.runtime.cli.commands.doctor_model import model_findings
from frontrunner.runtime.cli.common.findings import Finding, Level
from frontrunner.runtime.config import Settings
from frontrunner.runtime.model_files.proposal import Machine

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed"
)

CHATS = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TOOLS = "{% for t in tools or [] %}{{ t.function.name }}{% endfor %}"
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 2048,
    "vocab_size": 1000,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_model, "this_machine", lambda: Machine(True, 2**34))


def model(
    folder: Path, template: str | None = CHATS, *, damaged: bool = False, **config: Any
) -> Path:
    """A folder with a tokenizer of bytes; a damaged one cannot turn its tokens back."""
    import tokenizers

    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(alphabet)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    if not damaged:
        made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(["<s>", "</s>"])
    folder.mkdir(exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "clean_up_tokenization_spaces": False,
        **({} if template is None else {"chat_template": template}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


async def findings(folder: Path, **settings: Any) -> dict[str, Finding]:
    engine = {"model": str(folder), **settings.pop("engine", {})}
    given = Settings.from_dict({"engine": engine, **settings})
    return {finding.name: finding for finding in await model_findings(given)}


async def test_a_model_in_order(tmp_path: Path) -> None:
    found = await findings(model(tmp_path, CHATS + TOOLS))
    assert {finding.level for finding in found.values()} == {Level.GOOD}
    assert found["prompt"].detail.startswith("“<s><|system|>Please reason step by step")
    assert found["prompt"].detail.endswith("How many apples has he now?<|assistant|>”")
    assert "Time is up. The final answer is \\boxed{" in found["tokenizer"].detail
    assert found["start of text"].detail == "prompts begin with <s>, once"
    assert found["context"].detail == "2,048 tokens; the KV cache holds 262,144"


async def test_what_is_added_is_shown_where_it_stands(tmp_path: Path) -> None:
    users = "{% for m in messages if m.role == 'user' %}<u>{{ m.content }}{% endfor %}"
    found = await findings(model(tmp_path, "{{ bos_token }}" + users))
    assert found["prompt"].detail.startswith("“<s><u>Tom has 3 apples")
    assert "has he now?⏎⏎Please reason step by step" in found["prompt"].detail
    assert "shows none" in found["system message"].detail
    own = await findings(tmp_path, prompt={"instruction": "Be brief."})
    assert own["prompt"].detail.endswith("⏎⏎Be brief.”")


async def test_tools_that_a_template_leaves_out(tmp_path: Path) -> None:
    found = await findings(model(tmp_path))
    assert found["tools"].level is Level.WARNING
    assert "prompt.chat_template" in (found["tools"].advice or "")


async def test_a_damaged_tokenizer(tmp_path: Path) -> None:
    found = await findings(model(tmp_path, damaged=True))
    assert found["tokenizer"].level is Level.BAD
    assert "Ġ" in found["tokenizer"].detail
    assert "conversion" in (found["tokenizer"].advice or "")
    (tmp_path / "tokenizer.json").write_text("{}")
    broken = await findings(tmp_path)
    assert broken["tokenizer"].level is Level.BAD
    assert "cannot be loaded" in broken["tokenizer"].detail


@pytest.mark.parametrize(
    ("template", "level", "said"),
    [
        ("{{ bos_token }}" + CHATS, Level.BAD, "begin with 2 <s>"),
        (CHATS, Level.GOOD, "once"),
        (CHATS.removeprefix("{{ bos_token }}"), Level.GOOD, "neither template nor tokenizer"),
    ],
)
async def test_the_token_that_begins_a_text(
    tmp_path: Path, template: str, level: Level, said: str
) -> None:
    found = (await findings(model(tmp_path, template)))["start of text"]
    assert found.level is level
    assert said in found.detail


async def test_a_model_without_a_template(tmp_path: Path) -> None:
    found = await findings(model(tmp_path, None))
    assert found["prompt"].level is Level.WARNING
    assert "laid out plainly" in found["prompt"].detail
    assert found["prompt"].detail.endswith("⏎Answer:”")
    assert found["tools"].level is Level.WARNING


async def test_a_template_that_refuses(tmp_path: Path) -> None:
    found = await findings(model(tmp_path, "{{ raise_exception('not today') }}"))
    assert found["prompt"].level is Level.BAD
    assert "not today" in found["prompt"].detail


async def test_a_context_beyond_the_cache(tmp_path: Path) -> None:
    model(tmp_path, max_position_embeddings=2**23)
    found = (await findings(tmp_path))["context"]
    assert found.level is Level.BAD
    assert "engine.max_context_tokens" in (found.advice or "")
    assert "engine.cache_gib" in (found.advice or "")
    engine = {"cache_gib": 0.005, "max_context_tokens": 8192}
    found = (await findings(tmp_path, engine=engine))["context"]
    assert found.level is Level.WARNING
    assert "for each of 16 branches" in found.detail


async def test_top_p_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def seconds(vocabulary: int, top_p: float) -> tuple[float, float] | None:
        assert (vocabulary, top_p) == (262_144, 0.9)
        return 0.25, 0.01

    monkeypatch.setattr(doctor_model, "sampling_seconds", seconds)
    model(tmp_path, vocab_size=262_144)
    found = await findings(tmp_path, sampling={"top_p": 0.9})
    assert found["sampling"].level is Level.WARNING
    assert "250 ms for 16 branches, as measured here, and top_k alone 10 ms" in (
        found["sampling"].detail
    )
    assert "sampling" not in await findings(tmp_path, sampling={"top_k": 50})
    monkeypatch.setattr(doctor_model, "this_machine", lambda: Machine(False, 2**34))
    assert "sampling" not in await findings(tmp_path, sampling={"top_p": 0.9})


async def test_what_is_no_model_for_vllm(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    found = await findings(tmp_path)
    assert found["model files"].level is Level.BAD
    assert "GGUF" in found["model files"].detail


async def test_what_cannot_be_measured_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What vLLM's sampler takes is measured in ``tests/engine/test_doctor_on_vllm.py``."""
    monkeypatch.setattr(doctor_model, "_MEASURING", 600.0)  # a process may take its time to start
    monkeypatch.setattr(doctor_model, "_MEASURE", "import sys; print(0.5, sys.argv[1])")
    assert await doctor_model.sampling_seconds(1000, 0.9) == (0.5, 1000.0)
    monkeypatch.setattr(doctor_model, "_MEASURE", "raise ValueError('cannot be measured')")
    assert await doctor_model.sampling_seconds(1000, 0.9) is None
