"""Engines from settings."""

from ..config import (
    EngineSettings,
    OpenAISettings,
    PromptSettings,
    ThinkingSettings,
    VllmSettings,
)
from .protocol import Engine


def make_engine(
    settings: EngineSettings,
    prompt: PromptSettings | None = None,
    thinking: ThinkingSettings | None = None,
) -> Engine:
    """The engine that ``settings`` describe, not started.

    Args:
        prompt: how its model's chat template is used.
        thinking: how its model thinks, and for how long.

    Raises:
        EngineStartError: if vLLM is not installed (``vllm``).
    """
    # Imported where they are needed: aiohttp and vLLM's parts take their time.
    match settings.kind:
        case "vllm":
            from .supervised import SupervisedEngine, Supervision
            from .vllm.engine import VllmEngine

            supervision = Supervision(settings.stall_limit, settings.restarts)
            return SupervisedEngine(lambda: VllmEngine(settings, prompt, thinking), supervision)
        case "openai":
            return _behind_router(_make_remote(settings, prompt, thinking), settings.replicas)
        case "pool":
            from .pool.engine import PoolEngine

            pairs = zip(settings.names, settings.members, strict=True)
            return PoolEngine(
                {name: _make_member(member, prompt, thinking) for name, member in pairs},
                stall_after=settings.stall_after,
                hedge_after=settings.hedge_after,
            )


def _make_member(
    settings: VllmSettings | OpenAISettings,
    prompt: PromptSettings | None,
    thinking: ThinkingSettings | None,
) -> Engine:
    if isinstance(settings, OpenAISettings):
        return _make_remote(settings, prompt, thinking)
    return make_engine(settings, prompt, thinking)


def _make_remote(
    settings: OpenAISettings, prompt: PromptSettings | None, thinking: ThinkingSettings | None
) -> Engine:
    from .openai.engine import OpenAIEngine

    return OpenAIEngine(settings, prompt, thinking)


def _behind_router(engine: Engine, replicas: int) -> Engine:
    """``engine``; of several servers as a pool, which has branches go on elsewhere."""
    if replicas == 1:
        return engine
    from .pool.engine import PoolEngine

    return PoolEngine({"router": engine})
