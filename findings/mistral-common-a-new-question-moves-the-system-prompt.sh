#!/usr/bin/env bash
# mistral-common: with each new question the system prompt and the tools move behind the old ones, and no prefix is shared
#
# mistral_common 1.13.1, with the tokenizers that it carries. In version 3 (Mistral 7B v0.3, Nemo) what the system says is
# written in front of the last question, not of the first; the tools are there in version 7 (Large 2411) still. So of the
# prompt of an earlier turn a prefix cache has the first token, or the system's, and all the talk is computed anew. A turn
# that is to be continued (prefix=True) loses the space at its end: what follows is joined to its last word, or number.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" "mistral_common[sentencepiece]==1.13.1"

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
from pathlib import Path

import mistral_common
from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.tool_calls import Function, Tool
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

SYSTEM, TOOL = SystemMessage(content="Be brief."), Tool(function=Function(name="look_up", parameters={}))
FIRST, THEN = UserMessage(content="6 times 7?"), [AssistantMessage(content="42"), UserMessage(content="And 8?")]


def encode(tokenizer, *messages, tools=None):
    return tokenizer.encode_chat_completion(ChatCompletionRequest(messages=list(messages), tools=tools))


def shared(one, other):
    same = [a == b for a, b in zip(one.tokens, other.tokens, strict=False)]
    return f"{(same + [False]).index(False)} of {len(one.tokens)} tokens"


for name, file in (
    ("version 1", "tokenizer.model.v1"),
    ("version 3", "mistral_instruct_tokenizer_240323.model.v3"),
    ("version 3, Tekken", "tekken_240718.json"),
    ("version 7", "mistral_instruct_tokenizer_241114.model.v7"),
):
    tokenizer = MistralTokenizer.from_file(str(Path(mistral_common.__file__).parent / "data" / file))
    both = encode(tokenizer, SYSTEM, FIRST, *THEN)
    print(f"{name}: {both.text!r}")
    print("  shared with the first turn:", shared(encode(tokenizer, SYSTEM, FIRST), both))
    if name != "version 1":  # which knows no tools
        turns = [encode(tokenizer, SYSTEM, FIRST, *more, tools=[TOOL]) for more in ([], THEN)]
        print("  and with a tool:", shared(*turns))
        print(f"  to be continued: {encode(tokenizer, FIRST, AssistantMessage(content='It is 4 ', prefix=True)).text!r}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
version 1: '<s>▁[INST]▁Be▁brief.<0x0A><0x0A>6▁times▁7?▁[/INST]▁42</s>▁[INST]▁And▁8?▁[/INST]'
  shared with the first turn: 18 of 18 tokens
version 3: '<s>[INST]▁6▁times▁7?[/INST]▁42</s>[INST]▁Be▁brief.<0x0A><0x0A>And▁8?[/INST]'
  shared with the first turn: 2 of 13 tokens
  and with a tool: 1 of 43 tokens
  to be continued: '<s>[INST]▁6▁times▁7?[/INST]▁It▁is▁4'
version 3, Tekken: '<s>[INST]6 times 7?[/INST]42</s>[INST]Be brief.\n\nAnd 8?[/INST]'
  shared with the first turn: 2 of 11 tokens
  and with a tool: 1 of 40 tokens
  to be continued: '<s>[INST]6 times 7?[/INST]It is 4'
version 7: '<s>[SYSTEM_PROMPT]▁Be▁brief.[/SYSTEM_PROMPT][INST]▁6▁times▁7?[/INST]▁42</s>[INST]▁And▁8?[/INST]'
  shared with the first turn: 14 of 14 tokens
  and with a tool: 6 of 44 tokens
  to be continued: '<s>[INST]▁6▁times▁7?[/INST]▁It▁is▁4'
EXPECTED
