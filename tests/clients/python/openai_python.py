"""openai-python: chat, Responses over HTTP, and what its types hold."""

import json

import openai
from checking import BASE, JSON, QUESTION, WEATHER, WEATHER_TWICE, check
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


client = openai.OpenAI(base_url=BASE, api_key="none", max_retries=0)
MODEL = client.models.list().data[0].id
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ASKED = [{"role": "user", "content": QUESTION}]


def stream():
    with client.chat.completions.create(model=MODEL, messages=ASKED, stream=True) as chunks:
        return "42" in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def tools():
    asked = [{"role": "user", "content": WEATHER}]
    first = client.chat.completions.create(model=MODEL, messages=asked, tools=[TOOL])
    message = first.choices[0].message
    call = message.tool_calls[0]
    assert first.choices[0].finish_reason == "tool_calls"
    told = [*asked, message, {"role": "tool", "tool_call_id": call.id, "content": "21"}]
    second = client.chat.completions.create(model=MODEL, messages=told, tools=[TOOL])
    return call.function.name == "get_weather" and "21" in second.choices[0].message.content


FORECAST = {"Paris": "21", "Rome": "30"}


def tool_loop():
    return chat_loop(stream=False) and chat_loop(stream=True) and responses_loop()


def chat_loop(*, stream):
    """As the SDK's guides write it: until a reply calls nothing."""
    told, cities = [{"role": "user", "content": WEATHER_TWICE}], []
    while True:
        if stream:
            with client.chat.completions.stream(model=MODEL, messages=told, tools=[TOOL]) as chunks:
                message = chunks.get_final_completion().choices[0].message
        else:
            reply = client.chat.completions.create(model=MODEL, messages=told, tools=[TOOL])
            message = reply.choices[0].message
        if not message.tool_calls:
            return cities == ["Paris", "Rome"] and "21 and 30" in message.content
        told.append(message)
        for call in message.tool_calls:
            cities.append(json.loads(call.function.arguments)["city"])
            result = FORECAST[cities[-1]]
            told.append({"role": "tool", "tool_call_id": call.id, "content": result})


def responses_loop():
    """Once with the whole conversation each time, once from the response before."""
    tool = {"type": "function", **TOOL["function"]}
    for kept in (False, True):
        given, before, cities = [{"role": "user", "content": WEATHER_TWICE}], None, []
        while True:
            reply = client.responses.create(
                model=MODEL, input=given, tools=[tool], previous_response_id=before
            )
            calls = [item for item in reply.output if item.type == "function_call"]
            if not calls:
                break
            before, given = (reply.id, []) if kept else (None, [*given, *reply.output])
            for call in calls:
                cities.append(json.loads(call.arguments)["city"])
                result = FORECAST[cities[-1]]
                given.append(
                    {"type": "function_call_output", "call_id": call.call_id, "output": result}
                )
        assert cities == ["Paris", "Rome"], cities
        assert "21 and 30" in reply.output_text, reply.output_text
    return True


def unused_tool():
    reply = client.chat.completions.create(model=MODEL, messages=ASKED, tools=[TOOL])
    return "42" in reply.choices[0].message.content


def structured():
    reply = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": JSON}], response_format=Person
    )
    return reply.choices[0].message.parsed == Person(name="Ada", age=36)


def turns():
    told = [
        {"role": "user", "content": "My name is Ada"},
        {"role": "assistant", "content": "Hello Ada"},
        {"role": "user", "content": "What is my name?"},
    ]
    return (
        "Ada"
        in client.chat.completions.create(model=MODEL, messages=told).choices[0].message.content
    )


def reasoning():
    reply = client.chat.completions.create(model=MODEL, messages=ASKED)
    return "sevens" in (reply.choices[0].message.reasoning_content or "") + (
        reply.choices[0].message.content or ""
    )


def usage():
    reply = client.chat.completions.create(model=MODEL, messages=ASKED)
    return 0 < reply.usage.completion_tokens < 30


def responses():
    first = client.responses.create(model=MODEL, input="My name is Ada")
    second = client.responses.create(
        model=MODEL, input="What is my name?", previous_response_id=first.id
    )
    return "Ada" in second.output_text


def responses_stream():
    with client.responses.stream(model=MODEL, input=QUESTION) as events:
        for _ in events:
            pass
        return "42" in events.get_final_response().output_text


def responses_structured():
    return client.responses.parse(
        model=MODEL, input=JSON, text_format=Person
    ).output_parsed == Person(name="Ada", age=36)


def websocket():
    with client.responses.connect() as connection:
        connection.response.create(model=MODEL, input=QUESTION)
        for event in connection:
            if event.type == "response.completed":
                return "42" in event.response.output[-1].content[0].text
    return False


check(
    "chat",
    lambda: (
        "42"
        in client.chat.completions.create(model=MODEL, messages=ASKED).choices[0].message.content
    ),
)
check("stream", stream)
check("tool loop", tool_loop)
check("tools", lambda: tools() and unused_tool())
check("structured output", lambda: structured() and responses_structured())
check("reasoning", reasoning)
check("usage", usage)
check("several turns", lambda: turns() and responses())
check("responses", responses_stream)
check("websocket", websocket)
