"""Engines from settings."""

from ..config import EngineSettings
from .protocol import Engine


def make_engine(settings: EngineSettings) -> Engine:
    """The engine that ``settings`` describe, not started.

    Raises:
        EngineStartError: if vLLM is not installed (``vllm``).
    """
    # Imported where they are needed: aiohttp and vLLM's parts take their time.
    match settings.kind:
        case "vllm":
            from .vllm.engine import VllmEngine

            return VllmEngine(settings)
        case "openai":
            from .openai.engine import OpenAIEngine

            return OpenAIEngine(settings)
