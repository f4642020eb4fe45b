"""Every key of the file with its description, default and unit: as TOML, as Markdown, as schema.

All of it is read off the models, so it cannot differ from what is checked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from frontrunner._suggestions import did_you_mean

from ..errors import BadRequest
from .overrides import key_paths
from .sections import Section, Unit
from .settings import Settings
from .tables import Table, description, tables
from .toml_values import toml_value

_WIDTH: Final = 96
_TYPES: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    dict: "table",
    tuple: "list",
}
_NUMBERS: Final = ("whole number", "number")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the file, as it is with some or all of the sections that its table may be."""

    path: str
    """Such as ``engine.url``."""
    description: str
    kind: str
    """What values it takes, in words."""
    unit: str
    """What a number counts or is measured in; empty for others."""
    default: str
    """As it is written in TOML; empty where there is none."""
    required: bool
    """Whether the file must have it where its table is there."""
    only_with: tuple[str, ...]
    """The values of the table's telling key with which it has a meaning; empty: all."""

    @property
    def name(self) -> str:
        """Such as ``url``."""
        return self.path.rpartition(".")[2]


def keys_of(table: Table) -> list[Key]:
    """The keys of a table, first the one that tells its section, and those of its default; a key
    that means something else with another section comes again."""
    default, telling = "", ""
    if table.told_by is not None:
        default, telling = table.told_by.default, table.told_by.key
    models = {default: table.sections[default], **table.sections}
    found: dict[tuple[str, str, str], list[str]] = {}
    fields: dict[tuple[str, str, str], FieldInfo] = {}
    for name, model in models.items():
        for key, field in model.model_fields.items():
            if f"{table.path}.{key}" in tables(Settings):
                continue
            same = (key, description(field), "" if key == telling else _default(field))
            found.setdefault(same, []).append(name)
            fields.setdefault(same, field)
    keys = [
        _key(table, same[0], fields[same], () if len(names) == len(models) else tuple(names))
        for same, names in found.items()
    ]
    return sorted(keys, key=lambda key: (key.name != telling, not _holds(key.only_with, default)))


def describe(path: str) -> str:
    """The description of a key, for others who speak of the same thing.

    Raises:
        KeyError: there is no such key.
    """
    section, _, name = path.rpartition(".")
    for key in keys_of(tables(Settings)[section]):
        if key.name == name:
            return key.description
    raise KeyError(path)


def as_toml(names: Sequence[str] = ()) -> str:
    """All tables with the defaults of their keys: a file that says nothing new.

    Args:
        names: of tables or keys that are wanted; none: all.

    Raises:
        BadRequest: there is no such table or key.
    """
    return "\n\n".join("\n".join(_toml_table(table, keys)) for table, keys in _wanted(names)) + "\n"


def as_markdown() -> str:
    """The same as tables for the documentation."""
    return "\n\n".join("\n".join(_markdown_table(table)) for table in tables(Settings).values())


def json_schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors that know TOML."""
    schema = Settings.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Frontrunner",
    }


# ── keys ──────────────────────────────────────────────────────────────────────────────────────


def _key(table: Table, name: str, field: FieldInfo, only_with: tuple[str, ...]) -> Key:
    telling = table.told_by is not None and name == table.told_by.key
    kind = _alternatives(table.sections) if telling else _kind(field.annotation, field.metadata)
    return Key(
        path=f"{table.path}.{name}",
        description=description(field),
        kind=kind,
        unit=_unit(field.annotation, field.metadata),
        default=_default(field),
        required=field.is_required(),
        only_with=only_with,
    )


def _alternatives(values: Sequence[Any] | Mapping[Any, Any]) -> str:
    return " or ".join(f'"{value}"' for value in values)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True) if not field.is_required() else None
    return "" if value is None else toml_value(value)


def _kind(annotation: Any, metadata: Sequence[Any]) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _kind(inner, [*metadata, *more])
    if origin is Literal:
        return _alternatives(get_args(annotation))
    if origin in (Union, UnionType):
        kinds = [_kind(part, metadata) for part in get_args(annotation) if part is not NoneType]
        return " or ".join(dict.fromkeys(kinds))
    if origin is tuple:
        entry = _kind(get_args(annotation)[0], ())
        if entry == "table":
            return "list of tables"
        return "list of texts" if entry == "text" else "list of lists of three numbers"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "table"
    name = _TYPES.get(origin or annotation, "value")
    return f"{name}{_bounds(metadata)}" if name in _NUMBERS else name


def _bounds(metadata: Sequence[Any]) -> str:
    words: list[str] = []
    for entry in _flat(metadata):
        match entry:
            case Gt(gt=limit):
                words.append(f"above {limit}")
            case Ge(ge=limit):
                words.append(f"at least {limit}")
            case Lt(lt=limit):
                words.append(f"below {limit}")
            case Le(le=limit):
                words.append(f"at most {limit}")
            case _:
                pass
    return f" {' and '.join(words)}" if words else ""


def _flat(metadata: Sequence[Any]) -> Iterator[Any]:
    """Metadata with what ``Field(…)`` and ``Interval`` hold in their place."""
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            yield from entry.metadata
        elif isinstance(entry, Interval):
            yield from entry
        elif not isinstance(entry, MinLen):
            yield entry


def _unit(annotation: Any, metadata: Sequence[Any]) -> str:
    for entry in metadata:
        if isinstance(entry, Unit):
            return entry.name
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _unit(inner, more)
    if get_origin(annotation) in (Union, UnionType):
        return next(filter(None, (_unit(part, ()) for part in get_args(annotation))), "")
    return ""


def paths(names: Sequence[str] = ()) -> dict[str, list[str]]:
    """The paths of keys by those of their tables, all or those that are named.

    Raises:
        BadRequest: there is no such table or key.
    """
    found: dict[str, list[str]] = {}
    for table, keys in _wanted(names):
        found.setdefault(table.path, []).extend(dict.fromkeys(key.path for key in keys))
    return found


def _wanted(names: Sequence[str]) -> list[tuple[Table, list[Key]]]:
    everything = [(table, keys_of(table)) for table in tables(Settings).values()]
    if not names:
        return everything
    chosen: list[tuple[Table, list[Key]]] = []
    for name in names:
        found = [
            (table, [key for key in keys if _names(name, table, key)]) for table, keys in everything
        ]
        found = [(table, keys) for table, keys in found if keys]
        if not found:
            known = {*tables(Settings), *key_paths(Settings)}
            known |= {path.rpartition(".")[2] for path in known}
            raise BadRequest(
                f"{name}: there is no such table or key; there are the tables "
                f"{', '.join(tables(Settings))}{did_you_mean(name, known)}"
            )
        chosen += found
    return chosen


def _names(name: str, table: Table, key: Key) -> bool:
    """Whether a table by its path, or a key by its path or its name alone, is what is asked for."""
    below = table.path == name or table.path.startswith(f"{name}.")
    return below or key.path == name or key.name == name


# ── as text ───────────────────────────────────────────────────────────────────────────────────


def _toml_table(table: Table, keys: Sequence[Key]) -> Iterator[str]:
    yield from (f"# {line}" for line in wrap(table.description, _WIDTH - 2))
    # A table that may be absent has keys without a default: as it stands it says nothing.
    yield f"# [{table.path}]" if table.optional else f"[{table.path}]"
    for key in keys:
        yield ""
        about = f"{_code(key.description)} ({', '.join(_facts(key, table))})"
        yield from (f"# {line}" for line in wrap(about, _WIDTH - 2, break_on_hyphens=False))
        silent = not _holds(key.only_with, table.told_by.default if table.told_by else "")
        comment = "# " if silent or not key.default else ""
        yield f"{comment}{key.name} = {key.default or '…'}"


def _facts(key: Key, table: Table) -> Iterator[str]:
    yield key.kind
    if key.unit:
        yield key.unit
    if key.required:
        yield "no default"
    if key.only_with and table.told_by is not None:
        yield f"with {table.told_by.key} {_alternatives(key.only_with)}"


def _holds(only_with: Sequence[str], value: str) -> bool:
    return not only_with or value in only_with


def _markdown_table(table: Table) -> Iterator[str]:
    yield f"## `[{table.path}]`"
    yield ""
    yield _code(table.description)
    yield ""
    yield "| key | default | values | meaning |"
    yield "| --- | --- | --- | --- |"
    for key in keys_of(table):
        name = f"`{key.name}`" + (f"<br>with {_values(key.only_with)}" if key.only_with else "")
        kind = key.kind + (f", {key.unit}" if key.unit else "")
        default = f"`{key.default}`" if key.default else "required" if key.required else "not set"
        cells = (name, default, re.sub(r'"(\w+)"', r"`\1`", kind), _code(key.description))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(values: Sequence[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _code(text: str) -> str:
    """Docstrings write ``code`` where Markdown writes `code`."""
    return text.replace("``", "`")


def sections() -> Iterator[type[Section]]:
    """Every section of the file, those included of which a table is only one."""
    for table in tables(Settings).values():
        yield from dict.fromkeys(table.sections.values())
