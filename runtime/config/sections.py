"""What all sections of the settings share."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from pydantic_core import CoreSchema, ErrorDetails


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts or is measured in, for the reference and the JSON schema."""

    name: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "unit": self.name}


#: The context in which settings are read that may name modules to import: a config file's.
MAY_IMPORT: Final = {"may_import": True}
#: TOML's arrays arrive as lists.
Strings = Annotated[tuple[str, ...], Field(strict=False)]
Seconds = Annotated[PositiveFloat, Unit("seconds")]
SecondsOrNone = Annotated[NonNegativeFloat, Unit("seconds")]
Tokens = Annotated[PositiveInt, Unit("tokens")]
Branches = Annotated[PositiveInt, Unit("branches")]
Races = Annotated[PositiveInt, Unit("races")]
Bytes = Annotated[PositiveInt, Unit("bytes")]
Gibibytes = Annotated[PositiveFloat, Unit("GiB")]
Share = Annotated[float, Field(gt=0, le=1), Unit("share")]
Processes = Annotated[NonNegativeInt, Unit("processes")]


class Section(BaseModel):
    """A table of the file: unknown keys and wrong types are refused.

    The docstring below a key is its description everywhere: in ``frontrunner config``, the JSON
    schema, the documentation and the server's OpenAPI document. It is written in whole sentences
    that say what the number counts, since it is read without its neighbours.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True, slots=True)
class KindKey:
    """The key of a table that says which of several sections the table is, for ``Discriminator``.

    Pydantic's own discriminator by the name of a field would want the key in every file; here the
    table may leave it out.
    """

    key: str
    """Such as ``kind``."""
    default: str
    """Its value where the table does not say."""

    @property
    def __name__(self) -> str:  # pydantic asks for it, as if every callable were a function
        return self.key

    def __call__(self, data: Any) -> str:
        if isinstance(data, dict):
            return str(data.get(self.key, self.default))
        return str(getattr(data, self.key, self.default))


def path_in(data: Any, fault: ErrorDetails) -> list[str | int]:
    """The keys of ``data`` that lead to a fault: without the names of a union's members, which
    pydantic puts between them."""
    path: list[str | int] = []
    last = len(fault["loc"]) - 1
    for place, part in enumerate(fault["loc"]):
        absent = fault["type"] == "missing" and place == last
        if isinstance(data, dict) and (part in data or absent):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part] if part < len(data) else None
        else:
            continue
        path.append(part)
    return path
