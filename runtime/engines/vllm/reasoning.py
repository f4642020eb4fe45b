"""How vLLM takes thinking budgets (``thinking_token_budget`` of a request): on an engine that was
started with a ``ReasoningConfig``. It ends the thinking with ``reasoning_end_str``, by which it
also knows one that has ended by itself: so that is the bare mark, and no words before it.
"""

from typing import TYPE_CHECKING, Any, Final

from ...config import ThinkingSettings
from ...config.thinking import MESSAGE_END

if TYPE_CHECKING:
    from vllm.config import VllmConfig

#: What opens the thinking of harmony's models.
_ANALYSIS: Final = "<|channel|>analysis<|message|>"


def reasoning_arguments(thinking: ThinkingSettings) -> dict[str, Any]:
    """vLLM's arguments for a budget of thinking; none where there is no budget."""
    if thinking.token_budget is None:
        return {}
    marks: dict[str, Any]
    if thinking.channels:
        marks = {"reasoning_start_str": _ANALYSIS, "reasoning_end_str": MESSAGE_END}
    elif thinking.start is not None and thinking.end is not None:
        marks = {"reasoning_start_str": thinking.start, "reasoning_end_str": thinking.end}
    else:
        marks = {"reasoning_parser": thinking.parser}
    from vllm.config.reasoning import ReasoningConfig

    return {"reasoning_config": ReasoningConfig(**marks)}


def keeps_budgets(config: "VllmConfig") -> bool:
    """Whether an engine of this ``config`` was started with what budgets need."""
    reasoning = config.reasoning_config
    return reasoning is not None and reasoning.enabled
