"""The code of a user's own that a command's figures rest on."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path


def own_sources(text: str) -> Iterator[bytes]:
    """The sources of the modules that ``text`` names, as ``package.module:Class``, and that are
    imported: they may be changed from one run of a command to the next."""
    for module in re.findall(r"([^\W\d][\w.]*):[^\W\d]\w*", text):
        found = sys.modules.get(module)
        if found is not None and (path := getattr(found, "__file__", None)) is not None:
            yield Path(path).read_bytes()
