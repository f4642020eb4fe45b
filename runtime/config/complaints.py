"""What pydantic finds wrong with the settings, in the words of the file."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from frontrunner._suggestions import closest

from .sections import path_in
from .tables import Table


def complaint(
    fault: ErrorDetails, data: Mapping[str, Any], tables: Mapping[str, Table]
) -> tuple[str, str]:
    """The path of the key that is wrong, and what is wrong with it.

    Args:
        fault: as pydantic tells it.
        data: the settings as they were given.
        tables: those of the file.
    """
    path = [str(part) for part in path_in(data, fault)]
    table = tables.get(".".join(path[:-1]))
    context = fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            return ".".join(path), _unknown(path, tables, fault)
        case "missing" if table is not None and table.told_by is not None:
            needed = f"{_last(table)}.{path[-1]}"
            said = f'{table.told_by.key} "{_variant(table, fault)}" needs {needed}'
            return table.path, said
        case "union_tag_invalid":
            of = tables.get(".".join(path))  # a list's tables have no path in the file: by kind
            key = of.told_by.key if of is not None and of.told_by is not None else "kind"
            message = f"input should be one of {context['expected_tags']}"
            return ".".join([*path, key]), message
        case "model_type" | "dict_type":  # pydantic names the class, which nobody has heard of
            return ".".join(path), "a table is expected"
        case "tuple_type":
            return ".".join(path), "a list is expected"
        case _:
            message = str(fault["msg"]).removeprefix("Value error, ").replace("Tuple", "list")
            return ".".join(path), message[:1].lower() + message[1:]


def _unknown(path: list[str], tables: Mapping[str, Table], fault: ErrorDetails) -> str:
    key, table = path[-1], tables.get(".".join(path[:-1]))
    if table is None or table.told_by is None or not table.takes(key):
        return f"unknown key{_meant(path, tables)}"
    # A table in a table is told by a key that no other has: its name alone will do.
    told_by = f"{table.path}.{table.told_by.key}" if "." not in table.path else table.told_by.key
    return f'has no meaning with {told_by} "{_variant(table, fault)}"'


def _meant(path: list[str], tables: Mapping[str, Table]) -> str:
    """The key that was meant, if it can be told: one of this table that is spelled much like it, or
    one of this name in another table."""
    key, place = path[-1], ".".join(path[:-1])
    if not place:
        here = {name for name in tables if "." not in name}
    else:
        here = _keys(tables[place]) if place in tables else set[str]()
    found = closest(key, here)
    if found is None:
        found = next((f"{t.path}.{key}" for t in tables.values() if key in _keys(t)), None)
    return f"; did you mean {found}?" if found is not None else ""


def _keys(table: Table) -> set[str]:
    return {name for section in table.sections.values() for name in section.model_fields}


def _variant(table: Table, fault: ErrorDetails) -> str:
    """Which of a table's sections was complained about: pydantic names it in front of the key."""
    return str(fault["loc"][-2])


def _last(table: Table) -> str:
    return table.path.rpartition(".")[2]
