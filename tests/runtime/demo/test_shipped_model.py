"""The files that ship: complete, small, and in step with the code and the config."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from frontrunner.agents import calculator
from frontrunner.runtime.agents.calculator import calculate
from frontrunner.runtime.answers.combined import read_calls
from frontrunner.runtime.answers.extraction.tool_calls import last_tool_call
from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.demo import templates, tool_documents
from frontrunner.runtime.demo.corpus import prompt_text
from frontrunner.runtime.demo.templates import FORCING_SUFFIX as SUFFIX
from frontrunner.runtime.demo.tokenizer import BOS, END, USER
from frontrunner.runtime.engines.openai.tokens import LocalTokenizer
from frontrunner.runtime.engines.protocol import ToolTurn
from frontrunner.runtime.engines.vllm.engine import model_folder

TARGET, DRAFT = Path(model_folder("demo")), Path(model_folder("demo-draft"))
REWARD = Path(model_folder("demo-reward"))
TOOLS = Path(model_folder("demo-tools"))


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


def test_the_model_with_tools_has_the_shape_and_the_tokens_of_the_target() -> None:
    assert (TARGET / "tokenizer.json").read_bytes() == (TOOLS / "tokenizer.json").read_bytes()
    shapes = [AutoConfig.from_pretrained(folder).to_dict() for folder in (TARGET, TOOLS)]
    for shape in shapes:
        shape.pop("_name_or_path", None)
    assert shapes[0] == shapes[1]
    settings = Settings.from_toml(demo_config_path().with_name("demo-tools.toml"))
    assert settings.engine.kind == "vllm"
    assert model_folder(settings.engine.model) == str(TOOLS)
    usual = Settings.from_toml(demo_config_path())
    assert (settings.race, settings.forcing) == (usual.race, usual.forcing)


def test_its_chat_template_renders_what_it_was_trained_on() -> None:
    template = LocalTokenizer(AutoTokenizer.from_pretrained(TOOLS))
    asked: Any = {"role": "user", "content": "How many?"}
    assert template.chat_text([asked]) == prompt_text("How many?")
    offered = [dict(calculator)]
    prompt = template.chat_text([asked], offered)
    expected = tool_documents.offer_text([tool_documents.CALCULATOR])
    assert prompt == prompt_text("How many?").replace(BOS, BOS + expected)
    end = AutoTokenizer.from_pretrained(TOOLS).convert_tokens_to_ids(END)
    turn = ToolTurn([("calculator", {"expression": "1 + 2"})], ["3"], end, offered)
    assert template.tool_turn(turn) == template.encode(tool_documents.result_text("3"))
    # The calls are in a form that is read.
    call = last_tool_call("3.\n" + tool_documents.call_text("(1 + 2) * 3"), offered)
    assert call == '{"arguments":{"expression":"(1 + 2) * 3"},"name":"calculator"}'


def test_documents_with_tools_come_to_the_right_answer() -> None:
    rng = Random(1)
    plain = [(prompt_text("x"), False), ("y" + END, True)]
    for _ in range(300):
        parts = tool_documents.draw_tool_parts(rng, plain)
        called = None
        for text, counts in parts[1:]:
            if counts and "[calculator(" in text:
                (call,) = read_calls(last_tool_call(text.removesuffix(END), [dict(calculator)]))
                called = calculate(json.loads(call.arguments)["expression"])
            elif text.startswith(f"{USER}Result: ") and "Error" not in text and called is not None:
                assert text == tool_documents.result_text(called)
        if called is not None and not any(SUFFIX in text for text, _ in parts):
            assert parts[-1][0] == f"The answer is \\boxed{{{called}}}.{END}"
