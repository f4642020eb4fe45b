"""What an engine may do beside running requests."""

from typing import Protocol, runtime_checkable

from ..config import Settings
from ..engines.protocol import Engine
from ..rewards.protocol import RewardModel


@runtime_checkable
class SetsUpRaces(Protocol):
    """An engine whose races are to be set up in a way of their own where nobody says otherwise."""

    @property
    def rewards(self) -> RewardModel | None:
        """What scores its branches, if the runtime was given nothing else."""
        ...

    def settings_for(self, settings: Settings) -> Settings:
        """``settings`` with what they leave open."""
        ...


def set_up(
    engine: Engine, settings: Settings, rewards: RewardModel | None
) -> tuple[Settings, RewardModel | None]:
    """Settings and a reward model for races on ``engine``, where it has a say."""
    if not isinstance(engine, SetsUpRaces):
        return settings, rewards
    return engine.settings_for(settings), rewards or engine.rewards
