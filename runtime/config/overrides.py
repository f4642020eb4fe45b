"""Keys given beside the file: by ``FRONTRUNNER_…`` environment variables, and ``--set``.

Each key of the file has a variable, its path in capitals with underscores:
``FRONTRUNNER_SERVER_PORT`` is ``server.port``. A file's value gives way to the environment's, and
that to ``--set``.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from frontrunner._suggestions import closest, slip_of

from ..errors import ConfigError
from .paths import exists, expanded
from .sections import Section
from .tables import tables

#: What the variables of all keys begin with.
PREFIX: Final = "FRONTRUNNER_"
#: Keys that may hold the path of a file or a folder: beside the file, a relative one is relative
#: to the working directory. Of models, which may also be names, the file that a folder of one has.
_PATHS: Final[Mapping[str, str]] = {
    "engine.model": "config.json",
    "engine.tokenizer": "tokenizer_config.json",
    "engine.speculation.draft_model": "config.json",
    "rewards.model": "config.json",
    "server.key_file": "",
    "server.socket": "",
    "prompt.chat_template": "",
    "race.calibration": "",
    "planning.models": "",
}
#: Keys whose value is the name of an environment variable, which may look like one of ours.
_NAMES_VARIABLE: Final = ("keys_env", "key_env")
#: What Kubernetes and Docker's links set for a Service called ``frontrunner-server``, say: its
#: ``FRONTRUNNER_SERVER_PORT`` is ``tcp://10.0.0.7:8000``, which is no port to listen on.
_SERVICE_LINK: Final = re.compile(r"_SERVICE_(HOST|PORT(_.+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_.+)?$")
_LINKED: Final = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Override:
    """A key's value from elsewhere than the file."""

    path: str
    """Such as ``server.port``."""
    value: Any
    source: str
    """What says so, for errors: ``FRONTRUNNER_SERVER_PORT``, or ``--set server.port``."""


def variable_of(path: str) -> str:
    """The environment variable of a key: ``FRONTRUNNER_SERVER_PORT`` for ``server.port``."""
    return PREFIX + path.replace(".", "_").upper()


def from_environment(
    root: type[Section], environ: Mapping[str, str], exempt: Iterable[str] = ()
) -> list[Override]:
    """What the environment says. A variable that is empty says nothing, and neither does one that
    Kubernetes sets for a Service whose name begins with ``frontrunner``.

    Args:
        exempt: variables that mean something else, such as those that hold keys.

    Raises:
        ConfigError: a variable begins like one of a table's keys, or is all but one of them, and is
            none; or a value cannot be read.
    """
    by_variable = {variable_of(path): path for path in _annotations(root)}
    tops = tuple(f"{PREFIX}{name.upper()}_" for name in root.model_fields)
    named = {value for key, value in environ.items() if key.lower().endswith(_NAMES_VARIABLE)}
    apart = {*exempt, *named}
    found: list[Override] = []
    for variable, text in environ.items():
        if not text or variable in apart or _of_a_service(variable, text):
            continue
        path = by_variable.get(variable)
        if path is not None:
            found.append(Override(path, _value(root, path, text, variable), variable))
        elif variable.startswith(tops):
            raise _no_such(variable, closest(variable, by_variable))
        elif variable.startswith(PREFIX) and (meant := slip_of(variable, by_variable)) is not None:
            raise _no_such(variable, meant)
    return found


def _of_a_service(variable: str, text: str) -> bool:
    return variable.startswith(PREFIX) and bool(
        _SERVICE_LINK.search(variable) or (variable.endswith("_PORT") and _LINKED.match(text))
    )


def _no_such(variable: str, meant: str | None) -> ConfigError:
    return ConfigError(
        variable, f"no key of the config has this environment variable{_near(meant)}"
    )


def from_arguments(root: type[Section], given: Sequence[str]) -> list[Override]:
    """What texts of the form ``section.key=value`` say; a later one counts over an earlier one.

    Raises:
        ConfigError: one is not of this form, there is no such key, or a value cannot be read.
    """
    found: list[Override] = []
    for text in given:
        path, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ConfigError("--set", f"takes section.key=value, not {text!r}")
        known = _annotations(root)
        below = next((key for key in known if path.startswith(f"{key}.")), None)
        if path not in known and (below is None or not _is_mapping(known[below])):
            near = closest(path, known)
            raise ConfigError(f"--set {path}", f"there is no such key{_near(near)}")
        found.append(Override(path, _value(root, path, value, f"--set {path}"), f"--set {path}"))
    return found


def overrides(
    root: type[Section], data: Mapping[str, Any], sets: Sequence[str], environ: Mapping[str, str]
) -> list[Override]:
    """What the environment says, then what ``sets`` say, beside the ``data`` of a file.

    Raises:
        ConfigError: see ``from_environment`` and ``from_arguments``.
    """
    exempt = [
        str(value)
        for table in data.values()
        if isinstance(table, dict)
        for key, value in table.items()
        if key in _NAMES_VARIABLE
    ]
    return [*from_environment(root, environ, exempt), *from_arguments(root, sets)]


def merged(data: Mapping[str, Any], overrides: Iterable[Override]) -> dict[str, Any]:
    """``data`` with what ``overrides`` say, the later ones over the earlier ones."""
    whole: dict[str, Any] = deepcopy(dict(data))
    for override in overrides:
        *tables_above, key = override.path.split(".")
        table = whole
        for name in tables_above:
            below = table.get(name)
            if not isinstance(below, dict):
                below = table[name] = {}
            table = below
        table[key] = override.value
    return whole


# ── values ────────────────────────────────────────────────────────────────────────────────────


def _value(root: type[Section], path: str, text: str, source: str) -> Any:
    """The value that a text stands for, by the type of its key: TOML, where quotes around a text
    and brackets around a list may be left out."""
    annotation = _annotations(root).get(path)
    value = _parsed(text)
    kinds = set() if annotation is None else set(_kinds(annotation))
    if kinds and kinds <= {str}:
        if not isinstance(value, str):
            value = text
    elif tuple in kinds and not isinstance(value, list):
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif dict in kinds and not isinstance(value, dict):
        raise ConfigError(source, f"a TOML table is expected, as in {{key = 1}}, not {text!r}")
    if path in _PATHS and isinstance(value, str):
        value = _located(value, _PATHS[path])
    return value


def _parsed(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}\n")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError):
        return text.lower() == "true" if text.lower() in ("true", "false") else text


def _located(value: str, file: str) -> str:
    """A path that the file's folder does not change; the name of a model stays as it is."""
    path = expanded(value)
    is_path = not file or value.startswith((".", "/", "~")) or exists(path / file)
    return str(path.absolute()) if is_path else value


@cache
def _annotations(root: type[Section]) -> Mapping[str, Any]:
    """The type of each key by its path; of one that several sections have, of all of them."""
    found: dict[str, Any] = {}
    below = tables(root)
    for table in below.values():
        for section in dict.fromkeys(table.sections.values()):
            for name, field in section.model_fields.items():
                path = f"{table.path}.{name}"
                if path not in below:
                    known = found.get(path)
                    kind = field.annotation
                    found[path] = kind if known is None else Union[known, kind]  # noqa: UP007
    return found


def key_paths(root: type[Section]) -> tuple[str, ...]:
    """The paths of all keys."""
    return tuple(_annotations(root))


def _kinds(annotation: Any) -> Iterator[type]:
    """The Python types that a value may have, without None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _kinds(part)
    elif origin is Literal:
        yield from (type(value) for value in get_args(annotation))
    elif annotation is not NoneType:
        yield origin or annotation


def _is_mapping(annotation: Any) -> bool:
    return dict in set(_kinds(annotation))


def _near(found: str | None) -> str:
    return f"; did you mean {found}?" if found is not None else ""
