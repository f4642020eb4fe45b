"""Strands Agents' OpenAI model."""

from checking import BASE, QUESTION, WEATHER, check
from strands import Agent, tool
from strands.models.openai import OpenAIModel


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "21"


def agent():
    model = OpenAIModel(client_args={"base_url": BASE, "api_key": "none"}, model_id="scripted")
    return Agent(model=model, tools=[get_weather], callback_handler=None)


check("stream", lambda: "42" in str(agent()(QUESTION)))
check("tools", lambda: "21" in str(agent()(WEATHER)))
