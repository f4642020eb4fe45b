"""A LangGraph agent, raced: five runs at once, the first that is accepted wins, and the model calls
of the others are cancelled.

Run it with ``python -m examples.race_langgraph`` (``pip install langchain langchain-openai``). Its
model is at ``OPENAI_BASE_URL``, with the key ``OPENAI_API_KEY`` and the name ``OPENAI_MODEL``.
"""

import asyncio
import os
from collections.abc import AsyncGenerator

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from frontrunner import Runtime
from frontrunner.agents import AgentEngine, AgentTask, Outcome


@tool
def temperature(city: str) -> int:
    """The temperature in a city, in degrees Celsius."""
    return {"Paris": 21, "Oslo": 12}.get(city, 0)


async def forecaster(task: AgentTask) -> AsyncGenerator[str | Outcome, None]:
    model = ChatOpenAI(model=os.environ.get("OPENAI_MODEL", "demo"), seed=task.seed, max_retries=0)
    agent = create_agent(model, [temperature])
    asked = {"messages": [("user", task.question)]}
    async for step in agent.astream(asked, stream_mode="updates"):
        for node, update in step.items():
            last = update["messages"][-1]
            yield f"{node}: {last.text}\n"
            if node == "model" and not last.tool_calls:
                yield Outcome(last.text)


async def verify(question: str, outcome: Outcome) -> bool:
    return "21" in str(outcome.answer)


async def main() -> None:
    engine = AgentEngine(forecaster, verify=verify)
    async with Runtime(engine) as runtime:
        result = await runtime.solve("How warm is it in Paris?", branches=5, deadline=30.0)
        print(result.answer, result.stop_reason, engine.outcome(result))


if __name__ == "__main__":
    asyncio.run(main())
