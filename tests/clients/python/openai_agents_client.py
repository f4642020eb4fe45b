"""OpenAI's Agents SDK, over Responses and over chat completions."""

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from checking import BASE, QUESTION, WEATHER, check
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=BASE, api_key="none", max_retries=0)


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "21"


def agent(kind):
    return Agent(
        name="helper",
        instructions="Be brief.",
        tools=[get_weather],
        model=kind(model="scripted", openai_client=client),
    )


check(
    "chat",
    lambda: "42" in Runner.run_sync(agent(OpenAIChatCompletionsModel), QUESTION).final_output,
)
check(
    "responses", lambda: "42" in Runner.run_sync(agent(OpenAIResponsesModel), QUESTION).final_output
)
check(
    "tools",
    lambda: (
        "21" in Runner.run_sync(agent(OpenAIResponsesModel), WEATHER).final_output
        and "21" in Runner.run_sync(agent(OpenAIChatCompletionsModel), WEATHER).final_output
    ),
)
