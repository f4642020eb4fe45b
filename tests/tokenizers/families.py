"""What is known of the families of models whose tokenizers are tested."""

from typing import Any

_MADE_BY: dict[str, Any] = {"transformers_version": "4.57.0"}
#: Of each model's config.json, what its tokenizer is loaded by.
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3": {"model_type": "qwen3", "vocab_size": 151_936, **_MADE_BY},
    "deepseek-v3": {"model_type": "deepseek_v3", "vocab_size": 129_280, **_MADE_BY},
    "llama3.1": {"model_type": "llama", "vocab_size": 128_256, **_MADE_BY},
    "gpt-oss": {"model_type": "gpt_oss", "vocab_size": 201_088, **_MADE_BY},
    "gemma3": {"model_type": "gemma3_text", "vocab_size": 262_208, **_MADE_BY},
}
FAMILIES = tuple(CONFIGS)
#: Families whose template shows the tools that are offered, and the calls of earlier turns.
SHOW_TOOLS = {"qwen3", "gpt-oss"}
SHOW_CALLS = SHOW_TOOLS | {"deepseek-v3"}

#: Of tokenizers that come without: in our words, after the public description of the format
#: (OpenAI's "harmony response format"); the model's own says more.
TEMPLATES = {
    "gpt-oss": """\
{{- "<|start|>system<|message|>You are a language model.\\n\\nReasoning: " }}
{{- reasoning_effort | default("medium") }}
{{- "\\n\\n# Valid channels: analysis, commentary, final.<|end|>" }}
{%- set instructions = messages[0].content if messages[0].role == "system" else "" %}
{%- if instructions or tools %}
    {{- "<|start|>developer<|message|>" }}
    {%- if instructions %}{{- "# Instructions\\n\\n" + instructions + "\\n\\n" }}{%- endif %}
    {%- if tools %}
        {{- "# Tools\\n\\n## functions\\n\\nnamespace functions {\\n" }}
        {%- for tool in tools %}
            {{- "type " + tool.function.name + " = (_: " }}
            {{- tool.function.parameters | tojson + ") => any;\\n" }}
        {%- endfor %}
        {{- "}" }}
    {%- endif %}
    {{- "<|end|>" }}
{%- endif %}
{%- set said = namespace(called="") %}
{%- for message in messages %}
    {%- if message.role == "user" %}
        {{- "<|start|>user<|message|>" + message.content + "<|end|>" }}
    {%- elif message.role == "tool" %}
        {{- "<|start|>functions." + said.called + " to=assistant<|channel|>commentary<|message|>" }}
        {{- message.content + "<|end|>" }}
    {%- elif message.role == "assistant" %}
        {%- if message.content %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- set said.called = call.function.name %}
            {{- "<|start|>assistant to=functions." + said.called + "<|channel|>commentary" }}
            {{- " json<|message|>" + call.function.arguments | tojson + "<|call|>" }}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|start|>assistant" }}{%- endif %}
""",
}
