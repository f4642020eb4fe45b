"""Settings by model family: which model is of which, and what of its settings is filled in."""

from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.errors import ConfigError
from frontrunner.runtime.model_files.families import (
    families,
    families_folder,
    family_for,
    family_named,
    family_of,
    fill_in,
    read_family,
    with_family,
)
from frontrunner.runtime.model_files.inspection import ModelFiles

CHATML = "{%- for m in messages %}<|im_start|>…<|im_end|>{%- endfor %}"
R1 = "…'<｜User｜>'…{% set content = content.split('</think>')[-1] %}…'<｜Assistant｜><think>\\n'"
V3 = "…{{'<｜User｜>' + message['content']}}…{{'<｜Assistant｜>'}}"
QWEN_TOKENS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
HARMONY_TOKENS = ("<|start|>", "<|channel|>", "<|message|>")


def files(template: str | None, model_type: str | None, *tokens: str, **more: Any) -> ModelFiles:
    config = {} if model_type is None else {"model_type": model_type}
    return ModelFiles(
        "a/model",
        more.pop("source", "folder"),
        config=config,
        chat_template=template,
        added_tokens=tokens,
        **more,
    )


@pytest.mark.parametrize(
    ("known", "family"),
    [
        (files(CHATML + "enable_thinking", "qwen3", *QWEN_TOKENS), "qwen3"),
        (files(CHATML + "enable_thinking", "qwen3_moe", *QWEN_TOKENS), "qwen3"),
        (files(CHATML + "enable_thinking", None, *QWEN_TOKENS), "qwen3"),
        (files(CHATML + "assistant\\n<think>\\n", "qwen3", *QWEN_TOKENS), "qwen3-thinking"),
        (files(CHATML + "assistant\\n<think>\\n", "qwen2", *QWEN_TOKENS), "qwen3-thinking"),
        (files(CHATML, "qwen3", *QWEN_TOKENS), None),
        (files(CHATML + "enable_thinking", "smollm3", *QWEN_TOKENS), None),
        (files(R1, "qwen2", "<think>", "</think>"), "deepseek-r1"),
        (files(R1, "llama", "<think>", "</think>"), "deepseek-r1"),
        (files(R1 + "thinking is defined", "deepseek_v3"), "deepseek-v3.1"),
        (files(V3, "deepseek_v3"), None),
        (files("…<|channel|>…<|message|>…", "gpt_oss", *HARMONY_TOKENS), "gpt-oss"),
        (files("…<start_of_turn>…", "gemma3_text", "<start_of_turn>", "<end_of_turn>"), "gemma3"),
        (files(None, "gemma3_text", "<start_of_turn>", "<end_of_turn>"), None),
        (files("…<|start_header_id|>…", "llama"), None),
    ],
)
def test_the_files_of_a_model_say_its_family(known: ModelFiles, family: str | None) -> None:
    found = family_of(known)
    assert (found and found.key) == family


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Qwen/Qwen3-8B", "qwen3"),
        ("Qwen/Qwen3-30B-A3B-FP8", "qwen3"),
        ("Qwen/Qwen3-8B-Base", None),
        ("Qwen/Qwen3-4B-Instruct-2507", None),
        ("Qwen/Qwen3-4B-Thinking-2507", "qwen3-thinking"),
        ("Qwen/Qwen3-Embedding-8B", None),
        ("Qwen/QwQ-32B", "qwen3-thinking"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "deepseek-r1"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek-v3.1"),
        ("deepseek-ai/DeepSeek-V3.1-Base", None),
        ("openai/gpt-oss-120b", "gpt-oss"),
        ("google/gemma-3-27b-it", "gemma3"),
        ("google/gemma-3-270m", None),
        ("meta-llama/Llama-3.1-8B-Instruct", None),
        ("demo", None),
    ],
)
def test_so_does_its_name(name: str, family: str | None) -> None:
    found = family_named(name)
    assert (found and found.key) == family
    assert family_of(ModelFiles(name, "endpoint")) == found
    assert family_of(ModelFiles(name, "hub", config={"model_type": "qwen3"})) == found


def test_every_file_is_a_family_with_a_public_source() -> None:
    found = families()
    assert found.keys() == {path.stem for path in families_folder().glob("*.toml")}
    for family in found.values():
        assert family.source.startswith("https://")
        assert family.match.names
        assert family.match.template
    assert {key for key, family in found.items() if not family.thinks} == {"gemma3"}


def settings(**sections: Any) -> Settings:
    return Settings.from_dict(sections)


def test_what_a_file_sets_stands() -> None:
    own = {"temperature": 1.0, "top_p": 1.0}
    filled = fill_in(settings(sampling=own), families()["qwen3"])
    assert (filled.sampling.temperature, filled.sampling.top_p, filled.sampling.top_k) == (1, 1, 20)
    assert filled.thinking.start == "<think>"
    assert filled.race == Settings().race


def test_who_sets_the_marks_gets_none_of_the_family() -> None:
    own = {"start": "<t>", "end": "</t>"}
    thinking = fill_in(settings(thinking=own), families()["gpt-oss"]).thinking
    assert not thinking.channels
    assert not thinking.special_tokens
    assert thinking.whole_closing == "\n</t>\n\n"
    assert thinking.history_key == "thinking"


def engine(**keys: Any) -> dict[str, Any]:
    return {"model": "Qwen/Qwen3-8B", **keys}


@pytest.mark.parametrize(
    ("keys", "family"),
    [
        (engine(), "qwen3"),
        (engine(family="none"), None),
        (engine(family="gpt-oss"), "gpt-oss"),
        (engine(model="demo"), None),
        (engine(kind="openai", url="http://h"), "qwen3"),
        (
            engine(kind="openai", url="http://h", model="m", tokenizer="openai/gpt-oss-20b"),
            "gpt-oss",
        ),
        (engine(kind="openai", url="http://h", model=""), None),
    ],
)
def test_the_family_of_an_engine(keys: dict[str, Any], family: str | None) -> None:
    found = family_for(settings(engine=keys).engine)
    assert (found and found.key) == family


def test_a_folder_goes_before_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "qwen3-8b"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert family_for(settings(engine={"model": str(folder)}).engine) is None


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine\.family.*no family 'qwen9'.*qwen3"):
        with_family(settings(engine=engine(family="qwen9")))


def test_the_demo_stays_as_it_is() -> None:
    assert with_family(Settings()) == Settings()


# ── whether it thinks ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mode", "prompt", "arguments"),
    [
        ("auto", {}, {}),
        ("on", {}, {"enable_thinking": True}),
        ("off", {}, {"enable_thinking": False}),
        ("off", {"template_arguments": {"a": 1}}, {"a": 1, "enable_thinking": False}),
        (
            "off",
            {"template_arguments": {"enable_thinking": True}},
            {"enable_thinking": True},
        ),
    ],
)
def test_the_mode_becomes_variables_of_the_template(
    mode: str, prompt: dict[str, Any], arguments: dict[str, Any]
) -> None:
    told = with_family(settings(engine=engine(), thinking={"mode": mode}, prompt=prompt))
    assert told.prompt.template_arguments == arguments


@pytest.mark.parametrize(
    ("model", "mode", "said"),
    [
        ("Qwen/QwQ-32B", "off", "this model always thinks"),
        ("openai/gpt-oss-20b", "off", "this model always thinks"),
        ("google/gemma-3-4b-it", "on", "not known how this model marks"),
        ("demo", "on", "not known how this model marks"),
    ],
)
def test_a_mode_that_cannot_be_is_refused(model: str, mode: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        with_family(settings(engine={"model": model}, thinking={"mode": mode}))
    assert raised.value.path == "thinking.mode"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[settings.race]\nbranches = 3", "race: a family cannot say this"),
        ("[settings.sampling]\ntemperature = 9", "sampling.temperature"),
        ("[settings.thinking]\nstart = '<t>'", "thinking"),
    ],
)
def test_a_file_that_says_what_a_family_cannot_is_refused(
    tmp_path: Path, table: str, said: str
) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f'name = "Odd"\nsource = "https://x"\n[match]\nnames = ["odd"]\n{table}\n')
    with pytest.raises(ConfigError, match=said):
        read_family(path)
