"""What every client of an HTTP endpoint needs: its key, and when to ask again."""

import os
from math import inf

import aiohttp

from .errors import EngineStartError

#: Answers after which the same request may succeed.
TRY_AGAIN = frozenset({429, 502, 503, 504})
#: Seconds before the first retry; they double.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
#: Of an endpoint's complaint, in the log and in errors.
SHOWN_CHARS = 200


def authorization(setting: str, variable: str | None) -> dict[str, str]:
    """The header with the key that the environment variable holds; none without a variable.

    Args:
        setting: the path of the setting that names the variable.

    Raises:
        EngineStartError: the variable is not set, or no header can carry what it holds.
    """
    if variable is None:
        return {}
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EngineStartError(f"{setting}: the environment variable {variable} is not set")
    if not (key.isascii() and key.isprintable()):
        raise EngineStartError(f"{setting}: {variable} holds characters that no key has")
    return {"Authorization": f"Bearer {key}"}


def retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds that the endpoint asks us to wait; its dates are taken as never."""
    value = response.headers.get("Retry-After", "0")
    try:
        return max(0.0, float(value))
    except ValueError:
        return inf
