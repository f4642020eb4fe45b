// OpenAI's Agents SDK for JavaScript.
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { BASE, QUESTION, WEATHER, check } from "./checking.mjs";

setTracingDisabled(true);
const client = new OpenAI({ baseURL: BASE, apiKey: "none", maxRetries: 0 });
const weather = tool({ name: "get_weather", description: "The weather in a city.", parameters: z.object({ city: z.string() }), execute: async () => "21" });
const agent = (Kind) => new Agent({ name: "helper", instructions: "Be brief.", tools: [weather], model: new Kind(client, "scripted") });
await check("chat", async () => (await run(agent(OpenAIChatCompletionsModel), QUESTION)).finalOutput.includes("42"));
await check("responses", async () => (await run(agent(OpenAIResponsesModel), QUESTION)).finalOutput.includes("42"));
await check("tools", async () => (await run(agent(OpenAIResponsesModel), WEATHER)).finalOutput.includes("21"));
