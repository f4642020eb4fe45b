"""The tables of the file and their keys, read off the models: for errors, reference and schema."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Discriminator
from pydantic.fields import FieldInfo

from .sections import KindKey, Section


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the file, which one of several sections stands for."""

    path: str
    """Such as ``engine.speculation``; empty for the file itself."""
    description: str
    told_by: KindKey | None
    """The key that says which section it is; None: there is one."""
    sections: Mapping[str, type[Section]]
    """By the value of that key; under an empty text where there is one."""
    optional: bool
    """Whether the table may be absent without any defaults in its place."""

    def takes(self, key: str) -> tuple[str, ...]:
        """The values of ``told_by`` with which ``key`` has a meaning."""
        return tuple(name for name, model in self.sections.items() if key in model.model_fields)


@cache
def tables(root: type[Section]) -> Mapping[str, Table]:
    """All tables below ``root`` by their paths, in the order of the file."""
    return {table.path: table for table in _below("", root)}


def _below(path: str, section: type[Section]) -> Iterator[Table]:
    for key, field in section.model_fields.items():
        below = f"{path}.{key}" if path else key
        table = _table(below, field)
        if table is not None:
            yield table
            seen: set[str] = set()
            for model in dict.fromkeys(table.sections.values()):
                for further in _below(below, model):
                    if further.path not in seen:
                        seen.add(further.path)
                        yield further


def _table(path: str, field: FieldInfo) -> Table | None:
    key: KindKey | None = None
    for entry in field.metadata:
        if isinstance(entry, Discriminator) and isinstance(entry.discriminator, KindKey):
            key = entry.discriminator
    if isinstance(field.discriminator, Discriminator):
        assert isinstance(field.discriminator.discriminator, KindKey)
        key = field.discriminator.discriminator
    models = list(dict.fromkeys(_sections(field.annotation)))
    if not models:
        return None
    optional = field.default is None
    about = description(field)
    if key is None:
        return Table(path, about, None, {"": models[0]}, optional)
    named = {
        str(name): model
        for model in models
        for name in get_args(model.model_fields[key.key].annotation)
    }
    return Table(path, about, key, named, optional)


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from _sections(part)


def description(field: FieldInfo) -> str:
    """What a key means, as one line."""
    return " ".join((field.description or "").split())
