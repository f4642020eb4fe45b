"""Ask a question with a deadline; Frontrunner races reasoning branches and always answers in time.

The code lives in the folders `runtime/` (everything that awaits) and `strategies/` (pure
decisions) of the repository; symlinks beside this file make them `frontrunner.runtime` and
`frontrunner.strategies`. The names below are loaded on first use, so that `import frontrunner`
stays light: neither torch nor vLLM is imported before somebody builds an engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frontrunner.runtime.config import Settings as Settings
    from frontrunner.runtime.errors import FrontrunnerError as FrontrunnerError
    from frontrunner.runtime.result import Result as Result
    from frontrunner.runtime.runtime import Runtime as Runtime
    from frontrunner.runtime.serving.asgi_adapter.application import asgi as asgi

__version__ = "0.1.0"

__all__ = ["FrontrunnerError", "Result", "Runtime", "Settings", "__version__", "asgi"]

# Where each public name is defined. A new one needs a line here, above and in `__all__`.
_HOMES = {
    "FrontrunnerError": "frontrunner.runtime.errors",
    "Result": "frontrunner.runtime.result",
    "Runtime": "frontrunner.runtime.runtime",
    "Settings": "frontrunner.runtime.config",
    "asgi": "frontrunner.runtime.serving",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # the next access does not come here again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
