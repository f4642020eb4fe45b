"""Settings: one TOML file describes an engine and how it is raced; a module a topic.

Unknown keys, wrong types and combinations that cannot work are refused with the key's path.
"""

from ..common.config_identity import CONFIG_VARIABLE, config_path, demo_config_path
from .engine import (
    DEMO_DRAFT_MODEL,
    DEMO_MODEL,
    DEMO_MODELS,
    DEMO_REWARD_MODEL,
    DEMO_TOOLS_MODEL,
    EngineSettings,
    OpenAIMember,
    OpenAISettings,
    PoolSettings,
    VllmMember,
    VllmSettings,
)
from .planning import PlanningSettings
from .prompting import PromptSettings
from .racing import AnswerSettings, ForcingSettings, LengthSettings, RaceSettings, SamplingSettings
from .rewards import (
    JudgeRewards,
    NoRewards,
    PoolingRewards,
    RemoteRewards,
    RewardSettings,
    ScoringModel,
    VerifierRewards,
)
from .serving import ServerSettings
from .settings import LogSettings, Settings
from .speculation import NoSpeculation, SpeculationSettings
from .thinking import ThinkingSettings

__all__ = [
    "CONFIG_VARIABLE",
    "DEMO_DRAFT_MODEL",
    "DEMO_MODEL",
    "DEMO_MODELS",
    "DEMO_REWARD_MODEL",
    "DEMO_TOOLS_MODEL",
    "AnswerSettings",
    "EngineSettings",
    "ForcingSettings",
    "JudgeRewards",
    "LengthSettings",
    "LogSettings",
    "NoRewards",
    "NoSpeculation",
    "OpenAIMember",
    "OpenAISettings",
    "PlanningSettings",
    "PoolSettings",
    "PoolingRewards",
    "PromptSettings",
    "RaceSettings",
    "RemoteRewards",
    "RewardSettings",
    "SamplingSettings",
    "ScoringModel",
    "ServerSettings",
    "Settings",
    "SpeculationSettings",
    "ThinkingSettings",
    "VerifierRewards",
    "VllmMember",
    "VllmSettings",
    "config_path",
    "demo_config_path",
]
