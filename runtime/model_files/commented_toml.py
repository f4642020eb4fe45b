"""Settings as a TOML file whose every line says why it is there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

from ..config.toml_values import toml_value

_WIDTH: Final = 100
#: Where a reason begins that stands behind its value.
_COLUMN: Final = 34


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the file, its value, and why it has it."""

    path: str
    """Such as ``engine.dtype``."""
    value: Any
    reason: str
    """A sentence or less, without a full stop. Empty: none is written."""

    @property
    def table(self) -> str:
        """Such as ``engine``."""
        return self.path.rpartition(".")[0]

    @property
    def key(self) -> str:
        """Such as ``dtype``."""
        return self.path.rpartition(".")[2]


def as_nested(settings: Iterable[Setting]) -> dict[str, Any]:
    """The settings as nested dictionaries, as ``Settings.from_dict`` takes them."""
    nested: dict[str, Any] = {}
    for setting in settings:
        table = nested
        for name in setting.table.split("."):
            table = table.setdefault(name, {})
        table[setting.key] = setting.value
    return nested


def as_commented_toml(settings: Sequence[Setting], heading: Sequence[str]) -> str:
    """The file.

    Args:
        settings: in the order of the file; those of one table need not stand together.
        heading: paragraphs that the file begins with, without marks of comments.

    Raises:
        TypeError: TOML cannot say a value.
    """
    lines: list[str] = []
    for index, paragraph in enumerate(heading):
        lines += ["#"] if index else []
        lines += [f"# {line}" for line in wrap(paragraph, _WIDTH - 2, break_on_hyphens=False)]
    for table in dict.fromkeys(setting.table for setting in settings):
        lines += ["", f"[{table}]"]
        for setting in settings:
            if setting.table == table:
                lines += _lines(setting)
    return "\n".join(lines).lstrip("\n") + "\n"


def _lines(setting: Setting) -> Iterator[str]:
    said = f"{setting.key} = {toml_value(setting.value)}"
    behind = f"{said:<{_COLUMN}} # {setting.reason}"
    if not setting.reason:
        yield said
    elif len(behind) <= _WIDTH and "\n" not in said:
        yield behind
    else:
        yield from (f"# {part}" for part in wrap(setting.reason, _WIDTH - 2))
        yield said
