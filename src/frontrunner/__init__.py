"""Ask a question with a deadline; Frontrunner races reasoning branches and always answers in time.

What is promised to users is what this module and ``frontrunner.answers``, ``engines``, ``errors``,
``events``, ``rewards``, ``strategies`` and ``testing`` name in ``__all__``. All else may change in
any release.

The code lives in the folders `runtime/` (everything that awaits) and `strategies/` (pure
decisions) of the repository; symlinks beside this file make them `frontrunner.runtime` and
`frontrunner.strategies`. The names below are loaded on first use, so that `import frontrunner`
stays light: neither torch nor vLLM is imported before somebody builds an engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frontrunner.runtime.config import Settings as Settings
    from frontrunner.runtime.errors import BadRequest as BadRequest
    from frontrunner.runtime.errors import ConfigError as ConfigError
    from frontrunner.runtime.errors import EngineError as EngineError
    from frontrunner.runtime.errors import FrontrunnerError as FrontrunnerError
    from frontrunner.runtime.errors import Overloaded as Overloaded
    from frontrunner.runtime.racing.race_options import AnswerOptions as AnswerOptions
    from frontrunner.runtime.racing.race_options import RaceOptions as RaceOptions
    from frontrunner.runtime.racing.race_options import RawPrompt as RawPrompt
    from frontrunner.runtime.racing.race_stream import RaceStream as RaceStream
    from frontrunner.runtime.result import BranchReport as BranchReport
    from frontrunner.runtime.result import Note as Note
    from frontrunner.runtime.result import Result as Result
    from frontrunner.runtime.runtime import Runtime as Runtime
    from frontrunner.runtime.serving.app import create_app as create_app
    from frontrunner.runtime.serving.asgi_adapter.application import asgi as asgi

__version__ = "0.1.0"

__all__ = [
    "AnswerOptions",
    "BadRequest",
    "BranchReport",
    "ConfigError",
    "EngineError",
    "FrontrunnerError",
    "Note",
    "Overloaded",
    "RaceOptions",
    "RaceStream",
    "RawPrompt",
    "Result",
    "Runtime",
    "Settings",
    "__version__",
    "asgi",
    "create_app",
]

# Where each public name is defined. A new one needs a line here, above and in `__all__`.
_HOMES = {
    "AnswerOptions": "frontrunner.runtime.racing.race_options",
    "BadRequest": "frontrunner.runtime.errors",
    "BranchReport": "frontrunner.runtime.result",
    "ConfigError": "frontrunner.runtime.errors",
    "EngineError": "frontrunner.runtime.errors",
    "FrontrunnerError": "frontrunner.runtime.errors",
    "Note": "frontrunner.runtime.result",
    "Overloaded": "frontrunner.runtime.errors",
    "RaceOptions": "frontrunner.runtime.racing.race_options",
    "RaceStream": "frontrunner.runtime.racing.race_stream",
    "RawPrompt": "frontrunner.runtime.racing.race_options",
    "Result": "frontrunner.runtime.result",
    "Runtime": "frontrunner.runtime.runtime",
    "Settings": "frontrunner.runtime.config",
    "asgi": "frontrunner.runtime.serving",
    "create_app": "frontrunner.runtime.serving",
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
