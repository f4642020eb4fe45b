"""The class that vLLM loads for ``method = "custom_class"``, in its worker process.

The interface is vLLM's (``vllm/v1/spec_decode/custom_class_proposer.py``): more than K tokens, or
an exception, would end the engine. So nothing raises here, and no draft is longer than K.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from . import SETTINGS_KEY
from .batch_rows import Race, Races
from .compiling import forget_compiled
from .costs import StepMeter
from .drafting_settings import DraftingSettings
from .index import ContinuationIndex
from .vocabulary import Vocabulary

#: Below vLLM's own, which its worker has set up.
_log = logging.getLogger("vllm.frontrunner.drafting")
#: Races whose prompts are remembered.
_RACES: Final = 64
#: After so many errors nothing is drafted any more.
_ERRORS: Final = 3


class CrossBranchProposer:
    """Drafts from what a branch, its siblings, and earlier races wrote after the same text."""

    def __init__(self, vllm_config: Any) -> None:
        self._settings = DraftingSettings.from_mapping(vllm_config.additional_config[SETTINGS_KEY])
        self._K = int(vllm_config.speculative_config.num_speculative_tokens)
        self._rows = int(vllm_config.scheduler_config.max_num_seqs)
        self._max_length = int(vllm_config.model_config.max_model_len)
        self._errors = 0
        self._failure: BaseException | None = None
        # Seconds of work, done while vLLM reads the weights.
        self._preparing: threading.Thread | None = threading.Thread(
            target=self._prepare,
            args=(Vocabulary.reader(vllm_config.model_config),),
            name="frontrunner-drafting",
            daemon=True,
        )
        self._preparing.start()

    def _prepare(self, read_vocabulary: Callable[[], Vocabulary]) -> None:
        try:
            self._vocabulary = read_vocabulary()
            self._begin_anew()
            try:
                self._compile()
            except Exception:  # noqa: BLE001 - what was kept may be damaged in any way
                forget_compiled()
                self._begin_anew()
                self._compile()
            self._begin_anew()
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            self._failure = error

    def _wait_until_prepared(self) -> None:
        """
        Raises:
            Exception: whatever the preparation raised.
        """
        if self._preparing is not None:
            self._preparing.join()
            self._preparing = None
            _log.info("drafting across branches takes %.0f MiB", self._index.nbytes / 2**20)
        if self._failure is not None:
            raise self._failure

    def _begin_anew(self) -> None:
        settings = self._settings
        self._steps = 0
        self._races = Races(_RACES, self._rows)
        self._meter = StepMeter(_log) if settings.token_cost == "auto" else None
        self._index = ContinuationIndex(
            self._vocabulary,
            mib=settings.memory_mib,
            longest=settings.longest_match,
            shared=settings.earlier_races,
            rows=self._rows,
            K=self._K,
        )

    def _compile(self) -> None:
        """Compile for exactly the types of ``propose``, before the first request comes."""
        tokens = np.zeros((max(2, self._rows), max(8, self._max_length)), dtype=np.int32)
        for length in (4, 5):
            self._propose([[0]], np.full(1, length, dtype=np.int32), tokens, 0.0)

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """There is none; vLLM calls it once it has read its own weights."""
        self._wait_until_prepared()

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: Any,
        token_ids_cpu: Any,
        **_: Any,
    ) -> list[list[int]]:
        """
        Args:
            sampled_token_ids: what each row got in this step; nothing for a partial prefill.
            num_tokens_no_spec: (max rows,) tokens of each row, the sampled ones included.
            token_ids_cpu: (max rows, max length) int32.

        Returns:
            A draft of at most K tokens for each row; may be empty.
        """
        began = time.perf_counter()
        if self._errors < _ERRORS:
            try:
                self._wait_until_prepared()
                return self._propose(sampled_token_ids, num_tokens_no_spec, token_ids_cpu, began)
            except Exception:  # noqa: BLE001 - whatever it is, the engine must live
                self._failed()
        return [[] for _ in sampled_token_ids]

    def _failed(self) -> None:
        """Say it, and begin anew: half of a step may be in the index."""
        self._errors += 1
        _log.exception(
            "drafting across branches failed (%d of %d times before it stops)",
            self._errors,
            _ERRORS,
        )
        self._begin_anew()

    def _propose(
        self, sampled: list[list[int]], lengths: Any, tokens: Any, began: float
    ) -> list[list[int]]:
        """``began``: when vLLM called, on the clock of ``time.perf_counter``."""
        rows = len(sampled)
        ends = np.array(lengths[:rows], dtype=np.int64)
        new = np.fromiter(map(len, sampled), dtype=np.int64, count=rows)
        running = int(np.count_nonzero(new))
        if running == 0:
            return [[] for _ in sampled]
        self._steps += 1
        K = min(self._K, self._settings.tokens_at(running, self._K))
        # The step that verifies a draft gives one token more than was accepted.
        most = np.clip(self._max_length - ends - 1, 0, K)
        races = [
            self._race(row, tokens[row], end - count) if count else None
            for row, (end, count) in enumerate(zip(ends.tolist(), new.tolist(), strict=True))
        ]
        least, meter = self._settings.least_at(running), self._meter
        if meter is None:
            return self._index.step(tokens, ends, new, races, most, least)
        meter.step_ended(began, ends - new, new)
        choose = partial(meter.costs.choose, running)
        drafts = self._index.step(tokens, ends, new, races, most, least, choose)
        meter.step_begins(ends, sum(map(len, drafts)), self._index.promised)
        return drafts

    def _race(self, row: int, tokens: Any, prompt: int) -> Race:
        """The race of a row that has ``prompt`` tokens besides the new ones."""
        race = self._races.find(row, tokens, prompt, self._steps)
        if race is None:
            race = self._races.open(row, tokens, prompt, self._vocabulary.digits, self._steps)
            self._index.learn_prompt(tokens, race)
        return race
