"""Pydantic AI's agent."""

from checking import BASE, JSON, QUESTION, WEATHER, check
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Person(BaseModel):
    name: str
    age: int


model = OpenAIChatModel("scripted", provider=OpenAIProvider(base_url=BASE, api_key="none"))
agent = Agent(model)


@agent.tool_plain
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "21"


def turns():
    first = agent.run_sync("My name is Ada")
    return "Ada" in agent.run_sync("What is my name?", message_history=first.all_messages()).output


check("chat", lambda: "42" in agent.run_sync(QUESTION).output)
check("tools", lambda: "21" in agent.run_sync(WEATHER).output)
check(
    "structured output",
    lambda: Agent(model, output_type=NativeOutput(Person)).run_sync(JSON).output.age == 36,
)
check("several turns", turns)
