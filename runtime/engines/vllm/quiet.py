"""What vLLM and PyTorch print while an engine starts, kept out of sight unless it is asked for.

vLLM sets up its log, by ``VLLM_LOGGING_LEVEL``, later than it first writes to it; until then Python
prints warnings as they are. The engine's processes do so before any plugin is loaded in them.
"""

import logging
import os
import warnings
from typing import Final

_LEVEL: Final = "VLLM_LOGGING_LEVEL"
#: Levels at which nobody wants to know of warnings.
_QUIET: Final = ("ERROR", "CRITICAL")
#: Whose warnings of what will change are for themselves to read.
_THEIRS: Final = r"(vllm|torch|transformers)(\.|$)"


def keep_quiet() -> None:
    """Hear of errors alone, in this process, where ``VLLM_LOGGING_LEVEL`` says so."""
    level = os.environ.get(_LEVEL, "").upper()
    if level not in _QUIET:
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    logger = logging.getLogger("vllm")
    if logger.level == logging.NOTSET:  # else it is set up already, or the program has said it
        logger.setLevel(level)
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=_THEIRS)
