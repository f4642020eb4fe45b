"""Haystack's OpenAIChatGenerator."""

from checking import BASE, QUESTION, WEATHER, check
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool
from haystack.utils import Secret

generator = OpenAIChatGenerator(
    api_key=Secret.from_token("none"), model="scripted", api_base_url=BASE
)
tool = Tool(
    name="get_weather",
    description="The weather in a city.",
    function=lambda city: "21",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
check(
    "chat",
    lambda: "42" in generator.run(messages=[ChatMessage.from_user(QUESTION)])["replies"][0].text,
)
check(
    "tools",
    lambda: (
        generator.run(messages=[ChatMessage.from_user(WEATHER)], tools=[tool])["replies"][0]
        .tool_calls[0]
        .tool_name
        == "get_weather"
    ),
)
