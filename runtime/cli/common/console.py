"""What commands write when they are done, and show while they work."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn

from ...common.json_bytes import json_bytes
from .output import OutputClosed, OutputFailed, silence_output


def plain_lines(*parts: RenderableType, width: int) -> list[str]:
    """What a terminal of so many columns would show, without colours and blanks at the ends."""
    text = StringIO()
    console = Console(file=text, width=width, color_system=None, highlight=False)
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output.

    Raises:
        OutputClosed: there is no standard output, or nobody reads it any more.
        OutputFailed: the disk is full, for instance.
    """
    with _standard_output() as stream:
        stream.write("".join(f"{line}\n" for line in lines))


def print_json(*values: Any) -> None:
    """Write values to standard output, each as a line of JSON; raises what ``print_lines`` does."""
    with _standard_output() as stream:
        stream.flush()
        for value in values:
            stream.buffer.write(json_bytes(value) + b"\n")


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    stream = cast("TextIO | None", sys.stdout)
    if stream is None:
        raise OutputClosed
    try:
        yield stream
        stream.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        silence_output()  # what is buffered would fail again at the end
        raise OutputFailed(f"cannot write the output ({error.strerror})") from error


def progress_bar(*columns: str | ProgressColumn) -> Progress:
    """A bar on standard error while the command works; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
