"""A replay that was broken off, kept so that it goes on where it was.

A file is a line of JSON that says what follows, then the figures as bytes. It is read only if it is
of the same job: of the same recordings, strategies and options.
"""

import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from ..common.whole_files import write_whole
from .replay import Figures, Part

_FORM: Final = 1


def write_parts(path: Path, identity: str, parts: Sequence[Part]) -> None:
    """Keep what has been replayed; the file is there whole, or as it was before.

    Args:
        identity: the same only for a replay that gives the same figures.

    Raises:
        BadRequest: it cannot be written.
    """
    head = {
        "frontrunner_replay": _FORM,
        "identity": identity,
        "order": sys.byteorder,
        "parts": [
            {
                "question": part.question,
                "first": part.first_draw,
                "draws": part.draws,
                "cells": len(part.cells),
                "clairvoyant": list(part.clairvoyant),
            }
            for part in parts
        ],
    }
    figures = (each for part in parts for each in (*part.cells, *part.clairvoyant.values()))
    write_whole(
        path, orjson.dumps(head) + b"\n", *(piece for each in figures for piece in _bytes(each))
    )


def read_parts(path: Path, identity: str) -> list[Part]:
    """What was kept of the same replay; empty: there is nothing, or of another one."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    line, _, rest = content.partition(b"\n")
    try:
        head: Any = orjson.loads(line)
        same = (head["frontrunner_replay"], head["identity"], head["order"])
        if same != (_FORM, identity, sys.byteorder):
            return []
        return list(_parts(head["parts"], memoryview(rest)))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return []  # broken off in the midst of being written, or something else


def _bytes(figures: Figures) -> Iterator[bytes]:
    yield bytes(figures.right)
    for values in (figures.latency, figures.tokens, figures.ended):
        yield values.tobytes()


def _parts(heads: Sequence[Any], rest: memoryview) -> Iterator[Part]:
    place = 0

    def take(size: int) -> memoryview:
        nonlocal place
        piece = rest[place : place + size]
        if len(piece) < size:
            raise ValueError("the file is too short")
        place += size
        return piece

    def figures(count: int) -> Figures:
        right = bytearray(take(count))
        columns: list[array[float]] = []
        for _ in range(3):
            column = array("d")
            column.frombytes(take(count * column.itemsize))
            columns.append(column)
        return Figures(right, *columns)

    for head in heads:
        draws = int(head["draws"])
        yield Part(
            question=int(head["question"]),
            first_draw=int(head["first"]),
            draws=draws,
            cells=[figures(draws) for _ in range(head["cells"])],
            clairvoyant={int(branches): figures(draws) for branches in head["clairvoyant"]},
        )
    if place != len(rest):
        raise ValueError("the file is too long")
