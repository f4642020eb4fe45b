"""``[vllm_plugin]``: where races are found on vLLM's own server."""

import re
from typing import Final

from pydantic import field_validator

from .sections import Section

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


class VllmPluginSettings(Section):
    """Races on vLLM's own server, which loads them as a plugin (``VLLM_PLUGINS=frontrunner``)."""

    prefix: str = "/frontrunner"
    """The path below which everything is served: ``/frontrunner/v1/chat/completions``, the page at
    ``/frontrunner/``, ``/frontrunner/metrics``."""
    in_place: bool = False
    """Whether requests to vLLM's own ``/v1/chat/completions``, ``/v1/completions`` and
    ``/v1/responses`` are raced where they carry a deadline: the ``frontrunner`` object in the body,
    or the header ``X-Frontrunner-Deadline``. All others go to vLLM as they come. The websocket of
    ``/v1/responses``, which vLLM does not have, is served, too."""

    @field_validator("prefix")
    @classmethod
    def _is_a_path(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("must be a path such as /frontrunner, without a slash at its end")
        return prefix
