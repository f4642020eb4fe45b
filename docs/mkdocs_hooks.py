"""Makes the pages, which are also read in the repository, fit for the site."""

import re
from typing import Any

#: A link out of this folder, which the site does not hold.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files of the repository become their names."""
    return _OUTSIDE.sub(r"\1", markdown)
