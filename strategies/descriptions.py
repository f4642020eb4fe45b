"""What docstrings say of strategies and stop rules, for those who choose among them."""

import inspect
import re
from typing import Any, Final

_SECTION: Final = re.compile(r"^(Args|Raises|Returns):\n((?:^    .*\n?|^\n)*)", re.MULTILINE)


def text_of(factory: Any) -> str:
    """A factory's docstring without the sections that describe its arguments."""
    return _SECTION.sub("", inspect.getdoc(factory) or "").strip()


def arguments_of(factory: Any) -> dict[str, str]:
    """What a factory's docstring, and those of the classes that it is made from, say about each
    parameter, each as one line."""
    found: dict[str, str] = {}
    for each in reversed(inspect.getmro(factory)) if inspect.isclass(factory) else (factory,):
        found |= _own_arguments(each)
    return found


def _own_arguments(factory: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    sections = _SECTION.finditer(f"{inspect.cleandoc(factory.__doc__ or '')}\n")
    block = next((section for section in sections if section[1] == "Args"), None)
    for names, meaning in re.findall(
        r"^    (\w[\w, ]*): ((?:.*\n?)(?:^     +.*\n?)*)", block[2] if block else "", re.MULTILINE
    ):
        for name in names.split(", "):
            found[name] = " ".join(meaning.split()).replace("``", "`")
    return found


def source_of(factory: Any) -> str:
    """The paper that a factory's docstring, or that of its module, names first
    (``arXiv 2505.19634``); empty: none."""
    module = inspect.getmodule(factory)
    for text in (inspect.getdoc(factory), module.__doc__ if module is not None else None):
        found = re.search(r"arXiv\s+(\d{4}\.\d{5})", text or "")
        if found is not None:
            return f"arXiv {found[1]}"
    return ""


def as_written(default: Any) -> Any:
    """A default as people write it: 0.949976, and not what binary fractions make of it."""
    return float(f"{default:g}") if isinstance(default, float) else default
