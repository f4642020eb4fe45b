"""Engines from settings."""

from ..config import EngineSettings, PromptSettings, ThinkingSettings
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
            from .openai.engine import OpenAIEngine

            return OpenAIEngine(settings, prompt, thinking)
        case "pool":
            from .pool.engine import PoolEngine

            pairs = zip(settings.names, settings.members, strict=True)
            return PoolEngine(
                {name: make_engine(member, prompt, thinking) for name, member in pairs},
                stall_after=settings.stall_after,
                hedge_after=settings.hedge_after,
            )
