"""Replies in JSON: ``response_format`` of chat completions, ``text.format`` of responses.

The answers of such a race are JSON that satisfies the request's schema. The model is told so in its
prompt, and votes count values: no branch that writes something else is an answer.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import anyio.to_thread
import orjson
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from ...answers.extraction.schema import check_schema, patterns_in
from ...racing.race_options import AnswerOptions
from ..errors import BadParameter

#: Bytes of a schema.
MAX_BYTES: Final = 65_536
#: Lists and objects in a schema.
MAX_NODES: Final = 1_000
#: Characters of its patterns, with what they repeat written out.
MAX_REPEATED: Final = 1_024
_REPETITION: Final = re.compile(r"(\))?\{(?:\d{0,6},)?(\d{1,6}),?\}")


class _Format(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class TextFormat(_Format):
    """No format."""

    type: Literal["text"]


class ObjectFormat(_Format):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedSchema(_Format):
    """A JSON Schema with a name."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class SchemaFormat(_Format):
    """JSON that satisfies a schema, as chat completions nest it."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


class FlatSchemaFormat(NamedSchema):
    """The same, as responses write it."""

    type: Literal["json_schema"]


def _kind(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if isinstance(kind, str) else None


_Plain = Annotated[TextFormat, Tag("text")] | Annotated[ObjectFormat, Tag("json_object")]
ChatFormat = Annotated[_Plain | Annotated[SchemaFormat, Tag("json_schema")], Discriminator(_kind)]
ResponseFormat = Annotated[
    _Plain | Annotated[FlatSchemaFormat, Tag("json_schema")], Discriminator(_kind)
]


class JsonReply:
    """What a format asks for; there is none for text."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """
        Args:
            schema: checked.
        """
        self._schema = schema

    @classmethod
    async def of(
        cls, asked: TextFormat | ObjectFormat | SchemaFormat | FlatSchemaFormat | None, param: str
    ) -> "JsonReply | None":
        """
        Args:
            param: where ``asked`` stands in the request.

        Raises:
            BadParameter: its schema is none, or beyond what is checked here.
        """
        match asked:
            case None | TextFormat():
                return None
            case ObjectFormat():
                return cls({"type": "object"})
            case SchemaFormat(json_schema=named):
                param = f"{param}.json_schema.schema"
            case FlatSchemaFormat():
                named, param = asked, f"{param}.schema"
        if named.schema_ is None:
            return cls({})
        data = orjson.dumps(named.schema_)
        _check(named.schema_, data, param)
        # In a thread: it takes milliseconds.
        if (fault := await anyio.to_thread.run_sync(_fault, data)) is not None:
            raise BadParameter(f"{param}: {fault}", param)
        return cls(named.schema_)

    def answers(self, asked: str | AnswerOptions | None) -> AnswerOptions:
        """What an answer is; ``asked`` is what ``frontrunner.answers`` says.

        Raises:
            BadParameter: that is another kind.
        """
        said: AnswerOptions = {"kind": asked} if isinstance(asked, str) else {**(asked or {})}
        if said.get("kind", "json") != "json":
            raise BadParameter(
                f"frontrunner.answers: the kind is {said.get('kind')!r}, and the format asks for "
                "JSON: say one of the two",
                "frontrunner.answers",
            )
        return {**said, "kind": "json", "json_schema": self._schema}


def _check(schema: Mapping[str, Any], data: bytes, param: str) -> None:
    """See that a schema, as ``data`` in JSON, is small enough to be checked."""
    if len(data) > MAX_BYTES or data.count(b"{") + data.count(b"[") > MAX_NODES:
        raise BadParameter(
            f"{param}: at most {MAX_BYTES:,} bytes, and {MAX_NODES} lists and objects", param
        )
    patterns = patterns_in(schema)
    if sum(map(_weight, patterns)) > MAX_REPEATED:
        raise BadParameter(f"{param}: its patterns repeat too much, or are too many", param)


def _weight(pattern: str) -> int:
    """How large a pattern becomes when its repetitions are written out, about."""
    once, groups = len(pattern), 1
    for match in _REPETITION.finditer(pattern):
        count = int(match[2])
        if match[1]:
            groups = min(MAX_REPEATED, groups * max(1, count))
        else:
            once += count
    return once * groups


@lru_cache(maxsize=128)  # clients send the same one again and again
def _fault(data: bytes) -> str | None:
    """Why a schema, as JSON, is none."""
    try:
        check_schema(orjson.loads(data))
    except ValueError as error:
        return str(error)
    return None
