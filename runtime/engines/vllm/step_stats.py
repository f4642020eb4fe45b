"""What vLLM says of its steps, as an engine of ours tells it."""

import time
from typing import Any

from ..protocol import StepTimes, TokenTimes

#: A pause longer than this between two engine outputs is idleness, not a step.
_MAX_STEP = 2.0


class StepStats:
    """What vLLM reports with every output of its core; the time between two is a step."""

    def __init__(self) -> None:
        self.steps = StepTimes()
        self.tokens = TokenTimes()
        self.count = 0  # of outputs of the core, which it gives in every step
        self.running = 0
        self.waiting = 0
        self.cache_usage = 0.0
        self._drafts = self._accepted = 0
        self._last = 0.0

    @property
    def acceptance_length(self) -> float | None:
        """Tokens a step, the model's own included, since the start."""
        return 1.0 + self._accepted / self._drafts if self._drafts else None

    def restart(self) -> None:
        """Forget how long steps took: those of the first requests say nothing of the others."""
        self.steps, self.tokens = StepTimes(), TokenTimes()

    def logger(self, vllm_config: Any, engine_index: int = 0) -> Any:
        """A vLLM stat logger that reports to this object."""
        from vllm.v1.metrics.loggers import StatLoggerBase

        stats = self

        class Logger(StatLoggerBase):
            def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
                pass

            def record(
                self,
                scheduler_stats: Any,
                iteration_stats: Any,
                mm_cache_stats: Any = None,
                engine_idx: int = 0,
            ) -> None:
                stats.count += 1
                if scheduler_stats is not None:
                    generated = iteration_stats.num_generation_tokens if iteration_stats else 0
                    stats.take(scheduler_stats, generated)

            def log_engine_initialized(self) -> None:
                pass

        return Logger(vllm_config, engine_index)

    def take(self, scheduler_stats: Any, generated: int) -> None:
        """A step has ended, which brought ``generated`` tokens."""
        now = time.monotonic()
        if self.running and now - self._last < _MAX_STEP:
            self.steps.add(now - self._last)
            self.tokens.add(now - self._last, self.running, generated)
        self._last = now
        self.running = scheduler_stats.num_running_reqs
        self.waiting = scheduler_stats.num_waiting_reqs
        self.cache_usage = scheduler_stats.kv_cache_usage
        speculation = scheduler_stats.spec_decoding_stats
        if speculation is not None:
            self._drafts += speculation.num_drafts
            self._accepted += speculation.num_accepted_tokens

    def took(self, seconds: float, tokens: int, running: int) -> None:
        """One of ``running`` requests got ``tokens`` tokens within ``seconds``, where vLLM does not
        tell of its steps."""
        if seconds < _MAX_STEP:
            self.steps.add(seconds / tokens)
            self.tokens.add(seconds, running, tokens * running)  # as if each had got as many
