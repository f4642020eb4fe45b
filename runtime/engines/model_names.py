"""What a model is called where people and clients read it."""

import re
from pathlib import PurePath
from typing import Final

#: A folder of the Hugging Face cache: models--owner--name/snapshots/revision.
_CACHED: Final = re.compile(r"(?:^|/)models--([^/]+)(?:/snapshots/[^/]+)?/?$")


def model_name(model: str) -> str:
    """The name of a model that is given by its name on the Hugging Face hub, or as a local folder:
    then the folder's, as nobody else has to know where it lies."""
    if (cached := _CACHED.search(model)) is not None:
        return cached[1].replace("--", "/", 1)
    if model.startswith(("/", ".", "~")) or model.count("/") > 1:
        return PurePath(model).name or model
    return model
