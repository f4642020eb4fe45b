// openai-node: chat and Responses.
import OpenAI from "openai";
import { BASE, JSON_, QUESTION, WEATHER, check } from "./checking.mjs";

const client = new OpenAI({ baseURL: BASE, apiKey: "none", maxRetries: 0 });
const model = "scripted";
const ask = (content, more = {}) =>
  client.chat.completions.create({ model, messages: [{ role: "user", content }], ...more });
const tool = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } } };
const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"], additionalProperties: false };

await check("chat", async () => (await ask(QUESTION)).choices[0].message.content.includes("42"));
await check("stream", async () => {
  let text = "";
  for await (const chunk of await ask(QUESTION, { stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
  return text.includes("42");
});
await check("tools", async () => (await ask(WEATHER, { tools: [tool] })).choices[0].message.tool_calls[0].function.name === "get_weather");
await check("structured output", async () => {
  const reply = await ask(JSON_, { response_format: { type: "json_schema", json_schema: { name: "person", schema, strict: true } } });
  return JSON.parse(reply.choices[0].message.content).age === 36;
});
await check("usage", async () => { const n = (await ask(QUESTION)).usage.completion_tokens; return n > 0 && n < 30; });
await check("responses", async () => {
  let text = "";
  for await (const event of await client.responses.create({ model, input: QUESTION, stream: true }))
    if (event.type === "response.completed") text = event.response.output_text ?? JSON.stringify(event.response.output);
  return text.includes("42");
});
await check("several turns", async () => {
  const first = await client.responses.create({ model, input: "My name is Ada" });
  const second = await client.responses.create({ model, input: "What is my name?", previous_response_id: first.id });
  return second.output_text.includes("Ada");
});
