"""What commands write when they are done, and show while they work."""

import sys
from collections.abc import Iterable
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn

from ...common.json_bytes import json_bytes


def plain_lines(*parts: RenderableType, width: int) -> list[str]:
    """What a terminal of so many columns would show, without colours and blanks at the ends."""
    text = StringIO()
    console = Console(file=text, width=width, color_system=None, highlight=False)
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def print_json(*values: Any) -> None:
    """Write values to standard output, each as a line of JSON."""
    sys.stdout.flush()
    for value in values:
        sys.stdout.buffer.write(json_bytes(value) + b"\n")
    sys.stdout.buffer.flush()


def progress_bar(*columns: str | ProgressColumn) -> Progress:
    """A bar on standard error while the command works; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
