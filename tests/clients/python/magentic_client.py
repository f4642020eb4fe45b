"""Magentic's prompt functions."""

from checking import BASE, QUESTION, check
from magentic import OpenaiChatModel, prompt
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


model = OpenaiChatModel("scripted", api_key="none", base_url=BASE)


@prompt(QUESTION, model=model)
def plain() -> str: ...


check("chat", lambda: "42" in plain())
