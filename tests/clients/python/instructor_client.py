"""Instructor, in its modes for tools and for JSON."""

import instructor
import openai
from checking import BASE, JSON, WEATHER, check
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


class Weather(BaseModel):
    city: str


plain = openai.OpenAI(base_url=BASE, api_key="none", max_retries=0)


def ask(mode, model, content):
    client = instructor.from_openai(plain, mode=mode)
    return client.chat.completions.create(
        model="scripted",
        response_model=model,
        max_retries=0,
        messages=[{"role": "user", "content": content}],
    )


check("structured output", lambda: ask(instructor.Mode.JSON, Person, JSON).age == 36)
check("tools", lambda: ask(instructor.Mode.TOOLS, Weather, WEATHER).city == "Paris")
