"""What vLLM is sent of a question, with a model folder that has a template and special tokens of
its own: exactly what the library renders."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import ChatSupport, encode_prompt
from frontrunner.runtime.engines.vllm.start import model_folder
from frontrunner.runtime.prompts.instructions import INSTRUCTIONS
from frontrunner.runtime.racing.race_options import RawPrompt
from frontrunner.runtime.runtime import Runtime

transformers = pytest.importorskip("transformers")

#: The demo's, but it refuses a system message and has a variable.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if message.role == 'assistant' %}<|assistant|>{% else %}<|user|>{% endif %}"
    "{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% if brief %}Briefly: {% endif %}{% endif %}"
)
ASKED: Any = [{"role": "user", "content": "Mia has 3 apples and buys 5 more."}]


def model_with_template(folder: Path) -> Any:
    """The demo's model under ``folder``, and its tokenizer, which begins texts by its BOS."""
    from tokenizers import processors

    shutil.copytree(model_folder("demo"), folder)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder))
    bos = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A",
        pair=f"{bos} $A {bos} $B",
        special_tokens=[(bos, tokenizer.bos_token_id)],
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(str(folder))
    return tokenizer


async def test_prompts_are_what_the_library_renders(
    tmp_path: Path, demo_settings: Settings
) -> None:
    tokenizer = model_with_template(tmp_path / "somebodys-model")
    data = demo_settings.model_dump(exclude_unset=True)
    data["engine"]["model"] = str(tmp_path / "somebodys-model")
    data["prompt"] = {"template_arguments": {"brief": True}}

    def rendered(text: str, **variables: Any) -> tuple[int, ...]:
        said = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            **variables,
        )
        return tuple(tokenizer(said, add_special_tokens=False)["input_ids"])

    async with Runtime.from_config(Settings.from_dict(data)) as runtime:
        engine, question = runtime.engine, ASKED[0]["content"]
        assert engine.info.model == "somebodys-model"
        assert engine.info.chat == ChatSupport(system=False, tools=False)
        assert engine.encode_chat(ASKED) == rendered(question, brief=True)
        assert engine.encode_chat(ASKED, None, {"brief": False}) == rendered(question)
        asked = (await runtime._races.prepare(question, {"deadline": 5.0})).spec
        assert asked.instruction == INSTRUCTIONS["boxed"]
        assert asked.prompt == rendered(f"{question}\n\n{asked.instruction}", brief=True)
        assert (await runtime.solve(question, deadline=600.0, branches=4)).branches
        # Raw prompts begin as the library's do, once.
        bos = tokenizer.bos_token
        for text in ("Mia has", f"{bos}Mia has"):
            assert encode_prompt(engine, text) == tuple(tokenizer("Mia has")["input_ids"])
        bare = (
            await runtime._races.prepare(RawPrompt("Mia", special_tokens=False), {})
        ).spec.prompt
        assert bare == engine.encode("Mia")


async def test_the_demo_is_asked_as_it_was_trained(runtime: Runtime) -> None:
    assert runtime.engine.info.model == "demo"
    asked = (await runtime._races.prepare(ASKED, {"deadline": 5.0})).spec
    assert (asked.instruction, asked.prompt) == (None, runtime.engine.encode_chat(ASKED))
