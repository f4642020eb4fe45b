"""LiteLLM, with the provider for OpenAI-compatible servers."""

import litellm
from checking import BASE, JSON, QUESTION, WEATHER, check
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def ask(content, **more):
    return litellm.completion(
        model="openai/scripted",
        api_base=BASE,
        api_key="none",
        messages=[{"role": "user", "content": content}],
        **more,
    )


check("chat", lambda: "42" in ask(QUESTION).choices[0].message.content)
check(
    "stream",
    lambda: "42" in "".join(c.choices[0].delta.content or "" for c in ask(QUESTION, stream=True)),
)
check(
    "tools",
    lambda: (
        ask(WEATHER, tools=[TOOL]).choices[0].message.tool_calls[0].function.name == "get_weather"
    ),
)
check(
    "structured output",
    lambda: (
        Person.model_validate_json(ask(JSON, response_format=Person).choices[0].message.content).age
        == 36
    ),
)
ANSWER = {"frontrunner": {"content": "answer"}}
check(
    "reasoning",
    lambda: "sevens" in ask(QUESTION, extra_body=ANSWER).choices[0].message.reasoning_content,
)
check("usage", lambda: 0 < ask(QUESTION).usage.completion_tokens < 30)
