"""Writes the pages of the documentation that the code says by itself.

Run it with ``python docs/generate.py`` (``make docs`` does). Each page has a part by hand in front
of the mark; what follows the mark is replaced.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from frontrunner.runtime.config import reference
from frontrunner.strategies import registry
from frontrunner.strategies.descriptions import arguments_of
from frontrunner.strategies.stop_rules import STOP_RULES

FOLDER: Final = Path(__file__).parent
MARK: Final = "<!-- What follows is written by docs/generate.py. -->\n"
#: A section of a docstring: its name and its lines.
_SECTION: Final = re.compile(r"^(Args|Raises):\n((?:    .*(?:\n|$)|\n)+)", re.MULTILINE)
#: The strategies that are built in; others are their packages' to describe.
STRATEGIES: Final = MappingProxyType(dict(registry._STRATEGIES))  # pyright: ignore[reportPrivateUsage]


def strategies() -> str:
    """The strategies, then the stop rules, each with source and parameters."""
    parts = [*_strategy_parts(), "## Stop rules", *_stop_rule_parts()]
    return "\n\n".join(parts) + "\n"


def configuration() -> str:
    """Every key of the config."""
    return reference.as_markdown() + "\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {"configure.md": configuration, "strategies.md": strategies}
)


def page(name: str) -> str:
    """A page as it should be: what is written by hand, the mark, what is generated."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    by_hand, _, _ = text.partition(MARK)
    return f"{by_hand}{MARK}\n{PAGES[name]()}"


def _strategy_parts() -> Iterator[str]:
    described: dict[str, str] = {}
    for factory in (STRATEGIES["majority"], STRATEGIES["beam"], *STRATEGIES.values()):
        described = {**arguments_of(factory), **described}
    for name, factory in STRATEGIES.items():
        yield f"## `{name}`"
        module = inspect.getmodule(factory)
        alone = sum(inspect.getmodule(other) is module for other in STRATEGIES.values()) == 1
        yield _text(inspect.getdoc(factory))
        if alone and module is not None:
            yield _text(module.__doc__)
        own = {**described, **arguments_of(factory)}
        rows = [
            (p.name, "" if p.default is MISSING else p.default, own.get(p.name, ""))
            for p in registry.strategy_parameters(name)
        ]
        yield _table(rows)


def _stop_rule_parts() -> Iterator[str]:
    yield (
        "They call a race of `majority`, `weighted` and `probe`. Whatever the rule, but for "
        "`none`, a race ends when its lead cannot be overtaken."
    )
    for name, rule in STOP_RULES.items():
        yield f"### `stop={name}`"
        yield _text(re.sub(rf"^``{name}``: ", "", inspect.getdoc(rule) or ""))
        described = {**arguments_of(STRATEGIES["majority"]), **arguments_of(rule)}
        rows = [(f.name, f.default, described.get(f.name, "")) for f in fields(rule)]
        if rows:
            yield _table(rows)


def _text(docstring: str | None) -> str:
    """A docstring's text without the sections that are tables here, as Markdown."""
    text = _SECTION.sub("", inspect.cleandoc(docstring or "")).strip().replace("``", "`")
    text = re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
    return text if text[1:2].isdigit() else text[:1].upper() + text[1:]


def _table(rows: list[tuple[str, Any, str]]) -> str:
    lines = ["| parameter | default | meaning |", "| --- | --- | --- |"]
    for name, default, meaning in rows:
        told = "" if default == "" else "not set" if default is None else f"`{_json(default)}`"
        cells = (f"`{name}`", told, meaning[:1].upper() + meaning[1:])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _json(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


if __name__ == "__main__":
    for name in PAGES:
        (FOLDER / name).write_text(page(name), encoding="utf-8")
