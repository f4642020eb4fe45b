"""What Frontrunner raises on purpose. All of it is a ``FrontrunnerError``.

What a caller got wrong is a ``BadRequest``, raised before anything starts; once a race runs,
nothing is raised.
"""

from frontrunner.runtime.errors import BadBranches as BadBranches
from frontrunner.runtime.errors import BadDeadline as BadDeadline
from frontrunner.runtime.errors import BadRequest as BadRequest
from frontrunner.runtime.errors import ConfigError as ConfigError
from frontrunner.runtime.errors import DeadlineTooShort as DeadlineTooShort
from frontrunner.runtime.errors import EmptyQuestion as EmptyQuestion
from frontrunner.runtime.errors import EngineClosed as EngineClosed
from frontrunner.runtime.errors import EngineDead as EngineDead
from frontrunner.runtime.errors import EngineError as EngineError
from frontrunner.runtime.errors import EngineRestarting as EngineRestarting
from frontrunner.runtime.errors import EngineStartError as EngineStartError
from frontrunner.runtime.errors import FrontrunnerError as FrontrunnerError
from frontrunner.runtime.errors import NotInTime as NotInTime
from frontrunner.runtime.errors import Overloaded as Overloaded
from frontrunner.runtime.errors import PromptTooLong as PromptTooLong

__all__ = [
    "BadBranches",
    "BadDeadline",
    "BadRequest",
    "ConfigError",
    "DeadlineTooShort",
    "EmptyQuestion",
    "EngineClosed",
    "EngineDead",
    "EngineError",
    "EngineRestarting",
    "EngineStartError",
    "FrontrunnerError",
    "NotInTime",
    "Overloaded",
    "PromptTooLong",
]
