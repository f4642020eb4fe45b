"""Reward models from settings."""

from ..config import EngineSettings, RewardSettings
from ..engines.protocol import Engine
from .protocol import RewardModel


def make_reward_model(
    settings: RewardSettings, engine: Engine, beside: EngineSettings | None = None
) -> RewardModel | None:
    """The reward model that ``settings`` describe, not started; None for kind ``none``.

    Start it after ``engine``, not beside it: on a shared GPU vLLM measures the memory that is free.

    Args:
        engine: what a generative verifier runs on; started and closed by others.
        beside: of the engine that a pooling engine shares its device with.

    Raises:
        EngineStartError: if vLLM is not installed (pooling).
    """
    # Imported where they are needed: aiohttp and vLLM's parts take their time.
    match settings.kind:
        case "none":
            return None
        case "pooling":
            from .pooling import PoolingReward

            return PoolingReward(settings, beside)
        case "remote":
            from .remote import RemoteReward

            return RemoteReward(settings)
        case "verifier":
            from .verifier import VerifierReward

            return VerifierReward(settings, engine)
