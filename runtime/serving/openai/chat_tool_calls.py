"""Calls that earlier turns of a chat made, as clients repeat them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Tag


class CalledFunction(BaseModel):
    """A function, and what it was called with."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str
    arguments: str | dict[str, Any] | None = None


class EarlierFunctionCall(BaseModel):
    """A call of a function in an earlier turn."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["function"] = "function"
    id: str | None = None
    function: CalledFunction


class CalledCustom(BaseModel):
    """A tool that takes text, and the text that it was called with."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str
    input: str


class EarlierCustomCall(BaseModel):
    """A call of such a tool in an earlier turn."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: Literal["custom"]
    id: str | None = None
    custom: CalledCustom


def _kind(call: Any) -> str | None:
    kind = call.get("type", "function") if isinstance(call, dict) else getattr(call, "type", None)
    return kind if isinstance(kind, str) else None


EarlierCall = Annotated[
    Annotated[EarlierFunctionCall, Tag("function")] | Annotated[EarlierCustomCall, Tag("custom")],
    Discriminator(_kind),
]
