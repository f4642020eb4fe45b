"""What scores branches, and reward models of your own."""

from frontrunner.runtime.rewards.factory import register_reward as register_reward
from frontrunner.runtime.rewards.factory import reward_names as reward_names
from frontrunner.runtime.rewards.function import FunctionReward as FunctionReward
from frontrunner.runtime.rewards.protocol import RewardModel as RewardModel
from frontrunner.runtime.rewards.protocol import Scoring as Scoring
from frontrunner.runtime.rewards.protocol import ScoringBudget as ScoringBudget
from frontrunner.runtime.rewards.protocol import SupportsComparison as SupportsComparison

__all__ = [
    "FunctionReward",
    "RewardModel",
    "Scoring",
    "ScoringBudget",
    "SupportsComparison",
    "register_reward",
    "reward_names",
]
