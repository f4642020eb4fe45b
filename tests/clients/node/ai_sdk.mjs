// Vercel's AI SDK: its default provider, which speaks Responses, and the one for compatible servers.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { BASE, JSON_, QUESTION, WEATHER, check } from "./checking.mjs";

const responses = createOpenAI({ baseURL: BASE, apiKey: "none" })("scripted");
const chat = createOpenAICompatible({ name: "frontrunner", baseURL: BASE, apiKey: "none", supportsStructuredOutputs: true })("scripted");
const tools = { get_weather: tool({ description: "The weather in a city.", inputSchema: z.object({ city: z.string() }), execute: async () => "21" }) };
const once = { maxRetries: 0 };

await check("chat", async () => (await generateText({ model: chat, prompt: QUESTION, ...once })).text.includes("42"));
await check("stream", async () => {
  let text = "";
  for await (const piece of streamText({ model: chat, prompt: QUESTION, ...once }).textStream) text += piece;
  return text.includes("42");
});
await check("tools", async () =>
  (await generateText({ model: chat, prompt: WEATHER, tools, stopWhen: stepCountIs(3), ...once })).text.includes("21"));
await check("structured output", async () =>
  (await generateText({ model: chat, prompt: JSON_, output: Output.object({ schema: z.object({ name: z.string(), age: z.number() }) }), ...once })).output.age === 36);
await check("responses", async () => (await generateText({ model: responses, prompt: QUESTION, ...once })).text.includes("42"));
await check("several turns", async () =>
  (await generateText({ model: responses, prompt: WEATHER, tools, stopWhen: stepCountIs(3), ...once })).text.includes("21"));
