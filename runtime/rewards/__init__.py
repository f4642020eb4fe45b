"""Reward models: what scores branches, whole or part."""

from .function import FunctionReward as FunctionReward
from .making import make_reward_model as make_reward_model
from .protocol import RewardModel as RewardModel
from .protocol import Scoring as Scoring
