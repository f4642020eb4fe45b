#!/usr/bin/env bash
# AI SDK: what is reasoning and what is the reply depends on whether the same text is streamed
#
# ai 6.0.326, extractReasoningMiddleware. Of a whole text only pairs of marks are reasoning; in a stream one mark is
# enough, so that a reply that names <think> is cut there, and one that never closes its thought is empty. Told that
# the text begins in a thought (startWithReasoning, as templates that write the mark themselves want), a stream without
# marks has no reply at all, and a model that opens the thought nevertheless has the mark as a part of it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" ai@6.0.326

cat >"$folder/read.mjs" <<'NODE'
import { extractReasoningMiddleware, generateText, streamText, wrapLanguageModel } from "ai";

const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
const finishReason = { unified: "stop", raw: "stop" };

function says(text) {
  const deltas = text.match(/.{1,4}/gs).map((delta) => ({ type: "text-delta", id: "1", delta }));
  const start = [{ type: "stream-start", warnings: [] }, { type: "text-start", id: "1" }];
  const end = [{ type: "text-end", id: "1" }, { type: "finish", finishReason, usage }];
  const begin = (controller) => {
    for (const part of [...start, ...deltas, ...end]) controller.enqueue(part);
    controller.close();
  };
  return {
    specificationVersion: "v3", provider: "p", modelId: "m", supportedUrls: {},
    doGenerate: async () => ({ content: [{ type: "text", text }], finishReason, usage, warnings: [] }),
    doStream: async () => ({ stream: new ReadableStream({ start: begin }) }),
  };
}

for (const startWithReasoning of [false, true]) {
  for (const text of ["<think>6 * 7</think>42", "<think>6 * 7", "Write <think> first.", "42", "6 * 7</think>42"]) {
    const middleware = extractReasoningMiddleware({ tagName: "think", startWithReasoning });
    const model = wrapLanguageModel({ model: says(text), middleware });
    const whole = await generateText({ model, prompt: "?" });
    const stream = streamText({ model, prompt: "?" });
    const shown = [whole.reasoningText, whole.text, await stream.reasoningText, await stream.text];
    const [a, b, c, d] = shown.map((one) => (one === undefined ? "-" : JSON.stringify(one)));
    console.log(`${startWithReasoning ? "in a thought: " : ""}${text}: whole ${a} ${b}, streamed ${c} ${d}`);
  }
}
NODE
node "$folder/read.mjs" >"$folder/seen" 2>/dev/null
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
<think>6 * 7</think>42: whole "6 * 7" "42", streamed "6 * 7" "42"
<think>6 * 7: whole - "<think>6 * 7", streamed "6 * 7" ""
Write <think> first.: whole - "Write <think> first.", streamed " first." "Write "
42: whole - "42", streamed - "42"
6 * 7</think>42: whole - "6 * 7</think>42", streamed - "6 * 7</think>42"
in a thought: <think>6 * 7</think>42: whole "<think>6 * 7" "42", streamed "<think>6 * 7" "42"
in a thought: <think>6 * 7: whole - "<think>6 * 7", streamed "<think>6 * 7" ""
in a thought: Write <think> first.: whole - "Write <think> first.", streamed "Write <think> first." ""
in a thought: 42: whole - "42", streamed "42" ""
in a thought: 6 * 7</think>42: whole "6 * 7" "42", streamed "6 * 7" "42"
EXPECTED
