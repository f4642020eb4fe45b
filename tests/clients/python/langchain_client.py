"""LangChain's ChatOpenAI, over chat completions and over Responses."""

from checking import BASE, JSON, QUESTION, WEATHER, check
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "21"


llm = ChatOpenAI(model="scripted", base_url=BASE, api_key="none", max_retries=0)
responses = ChatOpenAI(
    model="scripted", base_url=BASE, api_key="none", max_retries=0, use_responses_api=True
)
check("chat", lambda: "42" in llm.invoke(QUESTION).content)
check("stream", lambda: "42" in "".join(c.content for c in llm.stream(QUESTION)))
check(
    "tools",
    lambda: llm.bind_tools([get_weather]).invoke(WEATHER).tool_calls[0]["name"] == "get_weather",
)
check("structured output", lambda: llm.with_structured_output(Person).invoke(JSON).age == 36)
check("usage", lambda: 0 < llm.invoke(QUESTION).usage_metadata["output_tokens"] < 30)
check(
    "several turns",
    lambda: (
        "Ada"
        in llm.invoke(
            [("user", "My name is Ada"), ("assistant", "Hello Ada"), ("user", "What is my name?")]
        ).content
    ),
)
check("responses", lambda: "42" in str(responses.invoke(QUESTION).content))
