"""Rows of figures as files, for spreadsheets and notebooks."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import orjson

from ..common.whole_files import write_whole


class Row(Protocol):
    """A row of figures."""

    def as_dict(self) -> dict[str, Any]:
        """Its figures by name; an interval ends in ``_interval`` and is a pair."""
        ...


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """One line a row; an interval takes two columns, ``…_low`` and ``…_high``.

    Raises:
        BadRequest: the file cannot be written.
    """
    text = StringIO(newline="")
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        flat = _flat(row)
        if writer is None:
            writer = csv.DictWriter(text, list(flat))
            writer.writeheader()
        writer.writerow(flat)
    write_whole(path, text.getvalue())


def write_parquet(rows: Sequence[Row], path: Path) -> bool:
    """The columns of ``write_csv`` as a Parquet file. False: pyarrow, which writes it, is not
    installed."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        return False
    parquet.write_table(arrow.Table.from_pylist([_flat(row) for row in rows]), path)
    return True


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.as_dict().items():
        if name.endswith("_interval"):
            low, high = value if value is not None else (None, None)
            stem = name.removesuffix("_interval")
            flat |= {f"{stem}_low": low, f"{stem}_high": high}
        elif isinstance(value, Mapping):
            flat[name] = orjson.dumps(value).decode()
        else:
            flat[name] = value
    return flat
