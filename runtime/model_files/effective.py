"""The settings that count in the end, each with who says it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..config import Settings, config_path, reference
from ..config.overrides import overrides
from ..config.settings import read_file
from ..config.toml_values import toml_value
from .families import with_family

#: Names whose values are nobody's business, in tables that take any. A key of the config holds no
#: secret: what is secret is in files and variables that it names.
_SECRET: Final = re.compile(r"(key|token|secret|password|authorization)$", re.IGNORECASE)
_HIDDEN: Final = "***"


def effective(
    config: Path | None, sets: Sequence[str], environ: Mapping[str, str], names: Sequence[str] = ()
) -> list[str]:
    """Lines of TOML with every key's value, and behind those that are no defaults who says them.

    Args:
        config: see ``Settings.load``.
        names: tables or keys that are wanted; none: all.

    Raises:
        BadRequest: there is no such table or key.
        ConfigError: the settings are wrong.
    """
    path = config_path(config, environ)
    data = read_file(path)
    said = {change.path: change.source for change in overrides(Settings, data, sets, environ)}
    settings = with_family(Settings.load(config, sets=sets, environ=environ))
    lines: list[str] = []
    for table, keys in reference.paths(names).items():
        section = _at(settings, table)
        if section is None:
            continue
        shown = list(_keys(section, keys, data, said, path))
        lines += ["", f"[{table}]", *shown] if shown else []
    return [f"# {path}", *lines]


def _keys(
    section: Any, keys: Sequence[str], data: Mapping[str, Any], said: Mapping[str, str], path: Path
) -> Iterator[str]:
    for key in keys:
        name = key.rpartition(".")[2]
        field = type(section).model_fields.get(name)
        if field is None:  # of another kind of this table
            continue
        value = getattr(section, name)
        source = next((who for at, who in said.items() if f"{at}.".startswith(f"{key}.")), None)
        if source is None and _at(data, key) is not None:
            source = str(path.name)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if source is None and value != default:
            source = "the model's family"
        behind = f"  # {source}" if source is not None else ""
        yield (
            f"# {name} = not set{behind}"
            if value is None
            else (f"{name} = {toml_value(_without_secrets(value))}{behind}")
        )


def _at(value: Any, path: str) -> Any:
    """What is at a path of keys or attributes; None: nothing."""
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
        if value is None:
            return None
    return value


def _without_secrets(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: _HIDDEN
        if isinstance(each, str) and _SECRET.search(str(key))
        else _without_secrets(each)
        for key, each in value.items()
    }
