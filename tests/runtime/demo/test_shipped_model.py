"""The files that ship: complete, small, and in step with the code and the config."""

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.demo import templates
from frontrunner.runtime.demo.corpus import prompt_text
from frontrunner.runtime.engines.vllm.engine import model_folder

TARGET, DRAFT = Path(model_folder("demo")), Path(model_folder("demo-draft"))
REWARD = Path(model_folder("demo-reward"))


def megabytes(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(TARGET)


def test_the_models_are_small_enough_to_ship() -> None:
    assert megabytes(REWARD) <= 10.0
    assert megabytes(TARGET.parent) - megabytes(REWARD) <= 15.0
    assert megabytes(DRAFT) <= 1.0


def test_target_and_draft_share_their_vocabulary() -> None:
    assert (TARGET / "tokenizer.json").read_bytes() == (DRAFT / "tokenizer.json").read_bytes()
    sizes = {AutoConfig.from_pretrained(folder).vocab_size for folder in (TARGET, DRAFT)}
    assert len(sizes) == 1


def test_the_chat_template_renders_what_the_model_was_trained_on(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "How many?"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered == prompt_text("How many?")


def test_digits_are_single_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = tokenizer.encode("1234 + 987 = 2221", add_special_tokens=False)
    assert [str(tokenizer.decode([i])).strip() for i in ids] == [*"1234", "+", *"987", "=", *"2221"]


def test_the_demo_config_forces_as_the_model_was_trained_to_be_forced() -> None:
    assert Settings.from_toml(demo_config_path()).forcing.suffix == templates.FORCING_SUFFIX
