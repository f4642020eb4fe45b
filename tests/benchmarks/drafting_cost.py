"""What the drafting of ``cross_branch`` takes in a step, by vocabulary: time and memory, no model.

The proposer is given the words of the documentation and of word problems, as branches that write
them token by token, and its calls are timed; tokenizers take turns every 20 steps. The first is
the demo's, of which the times of the others are told as a ratio.

example:
  drafting_cost.py --tokenizers tokenizers/gpt-oss tokenizers/gemma3
"""

import argparse
import random
import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from common import progress, report
from word_problems import word_problems

from frontrunner.runtime.config import DEMO_MODEL
from frontrunner.runtime.drafting import SETTINGS_KEY
from frontrunner.runtime.drafting.proposer import CrossBranchProposer
from frontrunner.runtime.drafting.vocabulary import Vocabulary
from frontrunner.runtime.engines.vllm.start import model_folder

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--tokenizers", nargs="*", default=[], help="folders with a tokenizer.json")
ARGUMENTS.add_argument("--batches", default="1,8,32")
ARGUMENTS.add_argument("--steps", type=int, default=1800)
ROWS, LENGTH, BEGIN, END, BLOCK, K = 32, 2048, 60, 660, 20, 8


class Contestant:
    """A proposer with one tokenizer's vocabulary, and the text in its tokens."""

    def __init__(self, folder: str, text: str) -> None:
        from tokenizers import Tokenizer

        tokenizer: Any = Tokenizer.from_file(str(Path(folder, "tokenizer.json")))
        self.name, self.size = Path(folder).name, int(tokenizer.get_vocab_size())
        self.ids = np.array(tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)
        began = time.perf_counter()
        texts = tokenizer.decode_batch([[t] for t in range(self.size)], skip_special_tokens=False)
        vocabulary = Vocabulary.of_texts(texts, self.size)
        self.reading = time.perf_counter() - began
        self.proposer = CrossBranchProposer(
            SimpleNamespace(
                additional_config={SETTINGS_KEY: {}},
                speculative_config=SimpleNamespace(num_speculative_tokens=K),
                scheduler_config=SimpleNamespace(max_num_seqs=ROWS),
                model_config=SimpleNamespace(
                    max_model_len=LENGTH, skip_tokenizer_init=True, get_vocab_size=lambda: 1
                ),
            )
        )
        self.proposer.load_model()
        self.proposer._vocabulary = vocabulary
        self.proposer._begin_anew()
        self.seconds: dict[int, list[float]] = {}

    def begin(self, B: int, rng: random.Random) -> None:
        """Rows that begin with one prompt and go on anywhere in the text."""
        self._rows = np.zeros((ROWS, LENGTH), dtype=np.int32)
        self._new = [[0]] * B
        for row in range(B):
            start = rng.randrange(len(self.ids) - END)
            self._rows[row, :END] = self.ids[start : start + END]
            self._rows[row, :BEGIN] = self._rows[0, :BEGIN]

    def steps(self, B: int, first: int) -> None:
        for length in range(first, first + BLOCK):
            lengths = np.full(ROWS, length, dtype=np.int32)
            began = time.perf_counter()
            self.proposer.propose(self._new, lengths, self._rows)
            self.seconds.setdefault(B, []).append(time.perf_counter() - began)

    def told(self, base: "Contestant") -> dict[str, Any]:
        median = {B: statistics.median(seconds) for B, seconds in self.seconds.items()}
        against = {B: statistics.median(seconds) for B, seconds in base.seconds.items()}
        return {
            "tokenizer": self.name,
            "vocabulary": self.size,
            "microseconds_a_step": {B: round(1e6 * found, 1) for B, found in median.items()},
            "times_the_first": {B: round(median[B] / against[B], 2) for B in median},
            "MiB": round(self.proposer._index.nbytes / 2**20, 1),
            "seconds_to_read_the_vocabulary": round(self.reading, 2),
        }


def main() -> None:
    args = ARGUMENTS.parse_args()
    docs = Path(__file__).parents[2] / "docs"
    text = " ".join(file.read_text(encoding="utf-8") for file in sorted(docs.glob("*.md")))
    text += " ".join(problem.question for problem in word_problems("select", 600))
    folders = [model_folder(DEMO_MODEL), *args.tokenizers]
    contestants = [Contestant(folder, text) for folder in folders]
    races = max(1, args.steps * BLOCK // (END - BEGIN) // BLOCK)
    for B in map(int, args.batches.split(",")):
        for race in range(races):
            progress(race, races, f"B={B}")
            for contestant in contestants:
                contestant.begin(B, random.Random(race))
            for first in range(BEGIN, END - BLOCK, BLOCK):
                turn = (race + first // BLOCK) % len(contestants)
                for contestant in contestants[turn:] + contestants[:turn]:
                    contestant.steps(B, first)
        progress(races, races, f"B={B}")
    for contestant in contestants:
        report(contestant.told(contestants[0]))


if __name__ == "__main__":
    main()
