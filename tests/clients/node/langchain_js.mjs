// LangChain.js' ChatOpenAI.
import { ChatOpenAI } from "@langchain/openai";
import { BASE, QUESTION, check } from "./checking.mjs";

const llm = new ChatOpenAI({ model: "scripted", apiKey: "none", maxRetries: 0, configuration: { baseURL: BASE } });
await check("chat", async () => String((await llm.invoke(QUESTION)).content).includes("42"));
await check("stream", async () => {
  let text = "";
  for await (const chunk of await llm.stream(QUESTION)) text += chunk.content;
  return text.includes("42");
});
