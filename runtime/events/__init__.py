"""What is told of a race while it runs: the events, their stream to a reader, and what they add up
to for whoever watches."""

from .types import (
    BranchEnded,
    BranchExtended,
    BranchForcing,
    BranchProbed,
    BranchProgressed,
    BranchScored,
    BranchStarted,
    CallTimeReached,
    Event,
    RaceDecided,
    RaceStarted,
    ToolCalled,
    ToolReturned,
    VoteChanged,
)

__all__ = [
    "BranchEnded",
    "BranchExtended",
    "BranchForcing",
    "BranchProbed",
    "BranchProgressed",
    "BranchScored",
    "BranchStarted",
    "CallTimeReached",
    "Event",
    "RaceDecided",
    "RaceStarted",
    "ToolCalled",
    "ToolReturned",
    "VoteChanged",
]
