"""Reward models from settings.

Those of a user's own are registered with ``register_reward``, offered by an installed package in
the entry points ``frontrunner.rewards``, or named as ``package.module:attribute`` in the config.
"""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Final

from frontrunner.strategies.parameters import make

from ..config import EngineSettings, RewardSettings, VllmSettings
from ..config.rewards import REWARD_PLUGINS, OwnRewards
from ..engines.protocol import Engine
from ..errors import ConfigError
from .function import FunctionReward, ScoreFunction
from .protocol import RewardModel

#: What a reward model must be able to do.
_METHODS: Final = ("start", "aclose", "score")


def reward_names() -> tuple[str, ...]:
    """The names of the reward models of a user's own; nothing is imported."""
    return REWARD_PLUGINS.names()


def register_reward(name: str, factory: Callable[..., RewardModel] | ScoreFunction) -> None:
    """Make a reward model available under ``[rewards] kind = "own", name = name`` in this process;
    call it before settings are read.

    Args:
        factory: an async function of the question and the text of a branch, or a class of reward
            models, which is called with ``[rewards] parameters``.

    Raises:
        ValueError: if the name is taken.
        TypeError: if it cannot be called.
    """
    REWARD_PLUGINS.register(name, factory)


def make_reward_model(
    settings: RewardSettings, engine: Engine, beside: EngineSettings | None = None
) -> RewardModel | None:
    """The reward model that ``settings`` describe, not started; None for kind ``none``.

    Start it after ``engine``, not beside it: on a shared GPU vLLM measures the memory that is free.

    Args:
        engine: what a generative verifier or a judge runs on; started and closed by others.
        beside: of the engine that a pooling engine shares its device with.

    Raises:
        EngineStartError: if vLLM is not installed (pooling).
        ConfigError: code of a user's own cannot be made with these parameters.
    """
    # Imported where they are needed: aiohttp and vLLM's parts take their time.
    match settings.kind:
        case "none":
            return None
        case "pooling":
            from .pooling import PoolingReward
            from .supervised import SUPERVISION, SupervisedReward

            # An endpoint is elsewhere: it shares neither log nor device.
            local = beside if isinstance(beside, VllmSettings) else None
            return SupervisedReward(lambda: PoolingReward(settings, local), SUPERVISION)
        case "remote":
            from .remote import RemoteReward

            return RemoteReward(settings)
        case "verifier":
            from .verifier import VerifierReward

            return VerifierReward(settings, engine)
        case "judge":
            from .judge import EndpointJudge, EngineJudge

            made = EngineJudge if settings.url is None else EndpointJudge
            return made(settings, engine)
        case "own":
            return _own(settings)


def _own(settings: OwnRewards) -> RewardModel:
    part, parameters = REWARD_PLUGINS.find(settings.name), settings.parameters
    try:
        if iscoroutinefunction(part):
            made = make(settings.name, FunctionReward, {"function": part, **parameters})
        else:
            made = make(settings.name, part, parameters)
    except ValueError as error:
        raise ConfigError("rewards.parameters", str(error)) from error
    missing = [method for method in _METHODS if not callable(getattr(made, method, None))]
    if missing:
        problem = f"{settings.name} is no reward model: it has no method {missing[0]}"
        raise ConfigError("rewards.name", problem)
    return made
