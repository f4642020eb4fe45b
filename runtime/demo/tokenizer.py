"""The demo's tokenizer: byte-level BPE over the generated text, one token a digit."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BOS: Final = "<|begin|>"
USER: Final = "<|user|>"
ASSISTANT: Final = "<|assistant|>"
END: Final = "<|end|>"
VOCABULARY: Final = 1024
# Digits stay single tokens (the first of a number carries the blank before it): arithmetic is
# learned digit by digit, and no merge may glue "12" together.
_PIECES: Final = r" ?\p{L}+| ?\p{N}|\n| ?[^\s\p{L}\p{N}]+|\s+"
CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'assistant' %}" + ASSISTANT + "{{ message.content }}" + END + "\n"
    "{%- else %}" + USER + "{{ message.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"
)
#: Of the model that calls a calculator; without tools it is the same.
TOOL_TEMPLATE: Final = (
    "{{ bos_token }}"
    "{% if tools %}Tools: {% for tool in tools %}{% if not loop.first %}; {% endif %}"
    "{{ tool.function.name }}({{ (tool.function.parameters.properties or {}) | join(', ') }})"
    "{% endfor %}{{ '\\n' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}" + ASSISTANT + "{{ message.content }}"
    "{% if message.tool_calls %}[{% for call in message.tool_calls %}"
    "{% if not loop.first %}, {% endif %}{{ call.function.name }}("
    "{% for name, value in call.function.arguments.items() %}"
    "{% if not loop.first %}, {% endif %}{{ name }}={{ value | tojson }}{% endfor %})"
    "{% endfor %}]{% endif %}" + END + "{% elif message.role == 'tool' %}"
    "" + USER + "Result: {{ message.content }}"
    "{% else %}" + USER + "{{ message.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> "PreTrainedTokenizerFast":
    """Train the tokenizer on ``texts``; the result holds the chat template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=END,
        pad_token=END,
        chat_template=CHAT_TEMPLATE,
        model_max_length=1024,
    )
