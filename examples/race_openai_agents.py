"""An agent of the OpenAI Agents SDK, raced: five runs at once, the first that is accepted wins, and
the model calls of the others are cancelled.

Run it with ``python -m examples.race_openai_agents`` (``pip install openai-agents``). Its model is
at ``OPENAI_BASE_URL``, with the key ``OPENAI_API_KEY`` and the name ``OPENAI_MODEL``.
"""

import asyncio
import os
from typing import Any

from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, RunHooks, Runner, function_tool
from openai import AsyncOpenAI

from frontrunner import Runtime
from frontrunner.agents import AgentEngine, AgentTask, Outcome


@function_tool
def temperature(city: str) -> int:
    """The temperature in a city, in degrees Celsius."""
    return {"Paris": 21, "Oslo": 12}.get(city, 0)


class Progress(RunHooks):
    """Tells the race what its run does."""

    def __init__(self, task: AgentTask) -> None:
        self._task = task

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: object) -> None:
        self._task.progress(f"{tool.name}: {result}\n")


async def forecaster(task: AgentTask) -> Outcome:
    async with AsyncOpenAI(max_retries=0) as client:
        model = OpenAIChatCompletionsModel(os.environ.get("OPENAI_MODEL", "demo"), client)
        agent = Agent(
            name="forecaster",
            tools=[temperature],
            model=model,
            model_settings=ModelSettings(temperature=1.0, extra_args={"seed": task.seed}),
        )
        run = await Runner.run(agent, task.question, hooks=Progress(task))
    return Outcome(str(run.final_output), cost=float(run.context_wrapper.usage.total_tokens))


async def verify(question: str, outcome: Outcome) -> bool:
    return "21" in str(outcome.answer)


async def main() -> None:
    engine = AgentEngine(forecaster, verify=verify)
    async with Runtime(engine) as runtime:
        result = await runtime.solve("How warm is it in Paris?", branches=5, deadline=30.0)
        print(result.answer, result.stop_reason, engine.outcome(result))


if __name__ == "__main__":
    asyncio.run(main())
