"""What happens in a race, as ``Runtime.stream`` tells it, and observers of all races of a runtime.

The names of events are also those of the server's streams (``type``).
"""

from frontrunner.runtime.events.types import BranchEnded as BranchEnded
from frontrunner.runtime.events.types import BranchEvent as BranchEvent
from frontrunner.runtime.events.types import BranchExtended as BranchExtended
from frontrunner.runtime.events.types import BranchForcing as BranchForcing
from frontrunner.runtime.events.types import BranchProbed as BranchProbed
from frontrunner.runtime.events.types import BranchProgressed as BranchProgressed
from frontrunner.runtime.events.types import BranchScored as BranchScored
from frontrunner.runtime.events.types import BranchStarted as BranchStarted
from frontrunner.runtime.events.types import CallTimeReached as CallTimeReached
from frontrunner.runtime.events.types import Event as Event
from frontrunner.runtime.events.types import RaceDecided as RaceDecided
from frontrunner.runtime.events.types import RaceStarted as RaceStarted
from frontrunner.runtime.events.types import ToolCalled as ToolCalled
from frontrunner.runtime.events.types import ToolReturned as ToolReturned
from frontrunner.runtime.events.types import VoteChanged as VoteChanged
from frontrunner.runtime.racing.observers import Observer as Observer
from frontrunner.runtime.racing.observers import RaceWatcher as RaceWatcher
from frontrunner.runtime.racing.spec import RaceSpec as RaceSpec
from frontrunner.strategies.protocol import BranchStatus as BranchStatus
from frontrunner.strategies.protocol import StopReason as StopReason

__all__ = [
    "BranchEnded",
    "BranchEvent",
    "BranchExtended",
    "BranchForcing",
    "BranchProbed",
    "BranchProgressed",
    "BranchScored",
    "BranchStarted",
    "BranchStatus",
    "CallTimeReached",
    "Event",
    "Observer",
    "RaceDecided",
    "RaceSpec",
    "RaceStarted",
    "RaceWatcher",
    "StopReason",
    "ToolCalled",
    "ToolReturned",
    "VoteChanged",
]
