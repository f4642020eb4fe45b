"""Reward models: what scores branches, whole or part."""

from .factory import make_reward_model as make_reward_model
from .factory import register_reward as register_reward
from .factory import reward_names as reward_names
from .function import FunctionReward as FunctionReward
from .protocol import RewardModel as RewardModel
from .protocol import Scoring as Scoring
