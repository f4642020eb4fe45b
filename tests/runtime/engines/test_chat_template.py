"""Chat templates as models have them, rendered by the library: what they show, what they refuse,
and what is done without one."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from frontrunner.runtime.config import PromptSettings
from frontrunner.runtime.engines import chat_template
from frontrunner.runtime.engines.chat_template import PLAIN_STOP, ChatTemplate
from frontrunner.runtime.engines.openai.tokens import LocalTokenizer
from frontrunner.runtime.engines.protocol import ChatSupport
from frontrunner.runtime.errors import BadRequest, EngineStartError

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed"
)

#: Shows a system message, as ChatML models do, with a variable for their thinking.
CHATML = (
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n"
    "{%- endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
#: Refuses a system message and anything but turns, as Mistral's and Gemma's first ones did.
STRICT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}<start_of_turn>{{ message.role }}\n{{ message.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
#: Puts what the system says in front of the user's first message, as Gemma's later ones do.
MERGING = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set said = messages[0].content + '\n\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set said = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}<start_of_turn>{{ message.role }}\n"
    "{{ (said if loop.first else '') + message.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
#: Drops it without a word.
DROPPING = (
    "{% for message in messages %}{% if message.role != 'system' %}[{{ message.role }}]"
    "{{ message.content }}{% endif %}{% endfor %}[assistant]"
)
#: Shows the first message of the system, and drops the others without a word, as gpt-oss's does.
FIRST_ALONE = (
    "{% if messages[0].role == 'system' %}[system]{{ messages[0].content }}{% endif %}" + DROPPING
)
#: Tells of tools, and refuses none.
WITH_TOOLS = (
    "{% if tools %}Tools: {{ tools | tojson }}\n{% endif %}{% for message in messages %}"
    "{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: "
)
ASKED: Any = [{"role": "user", "content": "What is 3 + 5?"}]
SYSTEM: Any = {"role": "system", "content": "Be brief."}
TOOL: Any = {"type": "function", "function": {"name": "add", "parameters": {}}}


def tokenizer(template: str | None, *, adds_bos: bool = False) -> Any:
    """A tokenizer of words, with a beginning of sequence."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "Question:", "Answer:", "What", "is", "3", "+", "5?", "once", "upon"]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if adds_bos:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", unk_token="<unk>", chat_template=template
    )


def rendered(template: str, *messages: Any, **more: Any) -> str:
    return ChatTemplate(tokenizer(template)).text(messages, None, more)


# ── what is shown ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("template", "support"),
    [
        (CHATML, ChatSupport(system=True, tools=False)),
        (STRICT, ChatSupport(system=False, tools=False)),
        (MERGING, ChatSupport(system=True, tools=False)),
        (DROPPING, ChatSupport(system=False, tools=False)),
        (FIRST_ALONE, ChatSupport(system=True, tools=False, late_system=False)),
        (WITH_TOOLS, ChatSupport(system=True, tools=True)),
        (None, ChatSupport(template=False, system=True, tools=False)),
    ],
)
def test_what_a_template_shows_is_found_by_rendering(
    template: str | None, support: ChatSupport
) -> None:
    assert ChatTemplate(tokenizer(template)).support == support
    assert LocalTokenizer(tokenizer(template)).chat == support


def test_variables_reach_the_template_and_those_of_a_call_come_first() -> None:
    thinks = PromptSettings(template_arguments={"enable_thinking": False})
    template = ChatTemplate(tokenizer(CHATML), thinks)
    assert template.text(ASKED, None).endswith("assistant\n<think>\n\n</think>\n\n")
    assert template.text(ASKED, None, {"enable_thinking": True}).endswith("assistant\n")
    assert rendered(CHATML, *ASKED).endswith("assistant\n")
    assert rendered(CHATML, *ASKED, enable_thinking=False).endswith("</think>\n\n")


def test_a_file_takes_the_place_of_the_models_own(tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(WITH_TOOLS)
    settings = PromptSettings(chat_template=str(path))
    for own in (CHATML, None):
        template = ChatTemplate(tokenizer(own), settings)
        assert template.text(ASKED, [TOOL]).startswith('Tools: [{"type": "function"')
        assert not template.plain
    missing = PromptSettings(chat_template=str(tmp_path / "none.jinja"))
    with pytest.raises(EngineStartError, match=r"prompt\.chat_template: cannot read .*none\.jinja"):
        ChatTemplate(tokenizer(CHATML), missing)


# ── what is refused ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("messages", "advice"),
    [
        ([SYSTEM, *ASKED], "say it in the first message of the user"),
        ([*ASKED, *ASKED], "join messages of one role"),
        ([{"role": "assistant", "content": "?"}, *ASKED], "the user first"),
    ],
)
def test_a_refusal_says_what_to_do(messages: Any, advice: str) -> None:
    with pytest.raises(BadRequest, match=advice) as told:
        rendered(STRICT, *messages)
    assert "chat template refuses the messages" in str(told.value)


def test_a_refusal_of_tools_says_what_to_do() -> None:
    refusing = "{% if tools %}{{ raise_exception('no functions here') }}{% endif %}" + CHATML
    with pytest.raises(BadRequest, match="leave tools out, or set prompt"):
        ChatTemplate(tokenizer(refusing)).text(ASKED, [TOOL])


# ── base models ───────────────────────────────────────────────────────────────────────────────


def test_without_a_template_the_prompt_ends_where_the_answer_begins() -> None:
    template = ChatTemplate(tokenizer(None))
    assert template.text(ASKED, None) == "Question: What is 3 + 5?\nAnswer:"
    turns = [SYSTEM, *ASKED, {"role": "assistant", "content": "8"}, *ASKED]
    assert template.text(turns, None) == (
        "Be brief.\n\nQuestion: What is 3 + 5?\nAnswer: 8\n\nQuestion: What is 3 + 5?\nAnswer:"
    )
    assert PLAIN_STOP in template.text(turns, None)  # where a model would go on by itself
    with pytest.raises(BadRequest, match="no chat template"):
        template.text(ASKED, [TOOL])
    with pytest.raises(BadRequest, match="'tool' cannot be told"):
        template.text([*ASKED, {"role": "tool", "content": "8"}], None)


def test_a_base_model_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Log:
        def warning(self, event: str, **more: str) -> None:
            told.append((event, more["hint"]))

    monkeypatch.setattr(chat_template, "_log", Log())
    template = ChatTemplate(tokenizer(None))
    for _ in range(3):
        template.text(ASKED, None)
    ChatTemplate(tokenizer(CHATML))
    assert [event for event, _ in told] == ["frontrunner.no_chat_template"]
    assert "prompt.chat_template" in told[0][1]


# ── the beginning of a sequence ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("adds", [True, False])
def test_a_raw_prompt_begins_as_the_tokenizer_has_it_and_never_twice(adds: bool) -> None:
    library = tokenizer(STRICT, adds_bos=adds)
    local = LocalTokenizer(library)
    assert local.encode_prompt("once upon") == tuple(library("once upon")["input_ids"])
    assert local.encode_prompt("once upon")[0] == (1 if adds else 9)
    assert local.encode_prompt("<s> once upon") == (1, 9, 10)
    assert local.encode("once upon") == (9, 10)
    # A template that writes one itself gets no second one.
    assert local.encode_chat(ASKED, None)[:2] != (1, 1)


def test_the_plain_layout_begins_likewise() -> None:
    local = LocalTokenizer(tokenizer(None, adds_bos=True))
    assert local.encode_chat(ASKED, None) == (1, 2, 4, 5, 6, 7, 8, 3)
