"""Pure decisions: strategies and stop rules, without a clock, I/O or an await.

What is named here is what a strategy or a stop rule of your own is made of. Each name is loaded
when it is first used: a program that only needs to know what a branch's status is called need not
wait for all strategies.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ == "strategies":  # reached by folder name from the checkout, not as the package
    raise ImportError("import frontrunner.strategies (run: pip install -e .)")

if TYPE_CHECKING:
    from .branch_limit import shed_branches as shed_branches
    from .closing import Closing as Closing
    from .closing import decide_by_votes as decide_by_votes
    from .closing import decide_for as decide_for
    from .closing import force_unanswered as force_unanswered
    from .closing import over as over
    from .closing import unanswered as unanswered
    from .lengths import LengthModel as LengthModel
    from .own_weights import VoteWeight as VoteWeight
    from .own_weights import register_weight as register_weight
    from .own_weights import weight_names as weight_names
    from .parameters import Parameter as Parameter
    from .protocol import BranchFailed as BranchFailed
    from .protocol import BranchFinished as BranchFinished
    from .protocol import BranchForced as BranchForced
    from .protocol import BranchLimitLowered as BranchLimitLowered
    from .protocol import BranchProbed as BranchProbed
    from .protocol import BranchProgressed as BranchProgressed
    from .protocol import BranchScored as BranchScored
    from .protocol import BranchStarted as BranchStarted
    from .protocol import BranchStatus as BranchStatus
    from .protocol import BranchStepped as BranchStepped
    from .protocol import BranchView as BranchView
    from .protocol import CallTimeReached as CallTimeReached
    from .protocol import Cancel as Cancel
    from .protocol import Command as Command
    from .protocol import Decide as Decide
    from .protocol import Extend as Extend
    from .protocol import Force as Force
    from .protocol import Fork as Fork
    from .protocol import Launch as Launch
    from .protocol import Needs as Needs
    from .protocol import Observation as Observation
    from .protocol import Probe as Probe
    from .protocol import ProbeAnswer as ProbeAnswer
    from .protocol import RaceView as RaceView
    from .protocol import Score as Score
    from .protocol import StopReason as StopReason
    from .protocol import Strategy as Strategy
    from .registry import create_strategy as create_strategy
    from .registry import register_strategy as register_strategy
    from .registry import strategy_names as strategy_names
    from .registry import strategy_parameters as strategy_parameters
    from .standing import Standing as Standing
    from .standing import SupportsStanding as SupportsStanding
    from .stop_rules import Poll as Poll
    from .stop_rules import StopRule as StopRule
    from .stop_rules import register_stop_rule as register_stop_rule
    from .stop_rules import stop_rule_names as stop_rule_names
    from .votes import Tally as Tally
    from .votes import tally as tally

__all__ = [
    "BranchFailed",
    "BranchFinished",
    "BranchForced",
    "BranchLimitLowered",
    "BranchProbed",
    "BranchProgressed",
    "BranchScored",
    "BranchStarted",
    "BranchStatus",
    "BranchStepped",
    "BranchView",
    "CallTimeReached",
    "Cancel",
    "Closing",
    "Command",
    "Decide",
    "Extend",
    "Force",
    "Fork",
    "Launch",
    "LengthModel",
    "Needs",
    "Observation",
    "Parameter",
    "Poll",
    "Probe",
    "ProbeAnswer",
    "RaceView",
    "Score",
    "Standing",
    "StopReason",
    "StopRule",
    "Strategy",
    "SupportsStanding",
    "Tally",
    "VoteWeight",
    "create_strategy",
    "decide_by_votes",
    "decide_for",
    "force_unanswered",
    "over",
    "register_stop_rule",
    "register_strategy",
    "register_weight",
    "shed_branches",
    "stop_rule_names",
    "strategy_names",
    "strategy_parameters",
    "tally",
    "unanswered",
    "weight_names",
]

# Where each name is defined. A new one needs a line here, above and in `__all__`.
_HOMES = {
    "BranchFailed": "protocol",
    "BranchFinished": "protocol",
    "BranchForced": "protocol",
    "BranchLimitLowered": "protocol",
    "BranchProbed": "protocol",
    "BranchProgressed": "protocol",
    "BranchScored": "protocol",
    "BranchStarted": "protocol",
    "BranchStatus": "protocol",
    "BranchStepped": "protocol",
    "BranchView": "protocol",
    "CallTimeReached": "protocol",
    "Cancel": "protocol",
    "Closing": "closing",
    "Command": "protocol",
    "Decide": "protocol",
    "Extend": "protocol",
    "Force": "protocol",
    "Fork": "protocol",
    "Launch": "protocol",
    "LengthModel": "lengths",
    "Needs": "protocol",
    "Observation": "protocol",
    "Parameter": "parameters",
    "Poll": "stop_rules",
    "Probe": "protocol",
    "ProbeAnswer": "protocol",
    "RaceView": "protocol",
    "Score": "protocol",
    "Standing": "standing",
    "StopReason": "protocol",
    "StopRule": "stop_rules",
    "Strategy": "protocol",
    "SupportsStanding": "standing",
    "Tally": "votes",
    "VoteWeight": "own_weights",
    "create_strategy": "registry",
    "decide_by_votes": "closing",
    "decide_for": "closing",
    "force_unanswered": "closing",
    "over": "closing",
    "register_stop_rule": "stop_rules",
    "register_strategy": "registry",
    "register_weight": "own_weights",
    "shed_branches": "branch_limit",
    "stop_rule_names": "stop_rules",
    "strategy_names": "registry",
    "strategy_parameters": "registry",
    "tally": "votes",
    "unanswered": "closing",
    "weight_names": "own_weights",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value  # the next access does not come here again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
