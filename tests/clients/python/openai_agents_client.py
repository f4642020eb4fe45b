"""OpenAI's Agents SDK, over Responses and over chat completions."""

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from checking import BASE, QUESTION, WEATHER, WEATHER_TWICE, check
from examples.race_openai_agents import forecaster, verify
from openai import AsyncOpenAI
from racing import raced

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=BASE, api_key="none", max_retries=0)

asked_of = []


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    asked_of.append(city)
    return "30" if city == "Rome" else "21"


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


def tool_loop():
    for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
        asked_of.clear()
        reply = Runner.run_sync(agent(kind), WEATHER_TWICE).final_output
        assert asked_of == ["Paris", "Rome"], asked_of
        assert "21 and 30" in reply, reply
    return True


check("tool loop", tool_loop)
check("raced", lambda: raced(forecaster, verify))
