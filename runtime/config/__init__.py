"""Settings: one TOML file describes an engine and how it is raced; a module a topic.

Unknown keys, wrong types and combinations that cannot work are refused with the key's path.
"""

from .engine import DEMO_DRAFT_MODEL, DEMO_MODEL, DEMO_REWARD_MODEL, EngineSettings
from .planning import PlanningSettings
from .racing import AnswerSettings, ForcingSettings, LengthSettings, RaceSettings, SamplingSettings
from .rewards import RewardSettings
from .serving import ServerSettings
from .settings import LogSettings, Settings, demo_config_path
from .speculation import SpeculationSettings

__all__ = [
    "DEMO_DRAFT_MODEL",
    "DEMO_MODEL",
    "DEMO_REWARD_MODEL",
    "AnswerSettings",
    "EngineSettings",
    "ForcingSettings",
    "LengthSettings",
    "LogSettings",
    "PlanningSettings",
    "RaceSettings",
    "RewardSettings",
    "SamplingSettings",
    "ServerSettings",
    "Settings",
    "SpeculationSettings",
    "demo_config_path",
]
