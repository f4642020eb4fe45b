"""vLLM's reasoning parsers, which know how families of models mark their thinking."""

from collections.abc import Callable
from typing import Any

from ..errors import EngineStartError


def reasoning_marks(parser: str, tokenizer: Callable[[], Any]) -> tuple[str, str]:
    """The marks that one of vLLM's reasoning parsers knows; see ``SupportsReasoningParsers``.

    Args:
        tokenizer: makes the model's, of the ``transformers`` library.
    """
    try:
        from vllm.reasoning import ReasoningParserManager
    except ImportError as error:
        raise EngineStartError(
            "thinking.parser: vLLM's reasoning parsers need vLLM in this process: install it, or "
            "set thinking.start and thinking.end"
        ) from error
    try:
        made = ReasoningParserManager.get_reasoning_parser(parser)
    except KeyError as error:
        known = ", ".join(sorted(ReasoningParserManager.list_registered()))
        raise EngineStartError(
            f"thinking.parser: vLLM has no reasoning parser {parser!r}; it has {known}"
        ) from error
    try:
        found = made(tokenizer())
        start, end = found.reasoning_start_str, found.reasoning_end_str
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EngineStartError(
            f"thinking.parser: {parser!r} does not fit this model's tokenizer: {first}"
        ) from error
    if not start or not end:
        raise EngineStartError(
            f"thinking.parser: {parser!r} does not say its marks: set thinking.start and "
            "thinking.end, or thinking.channels for models of OpenAI's harmony format"
        )
    return start, end
